/**
 * What a competent afternoon yields: Fastify, both SDKs as their READMEs show them, JSON.parse and a pick. It checks the
 * audience and the keys, logs in to Vault once, and does nothing else that keyhole does. Settings come as JSON in argv.
 */
import { readFileSync } from 'node:fs'
import { AuthenticationV1Api, CoreV1Api, KubeConfig } from '@kubernetes/client-node'
import Fastify from 'fastify'
import nodeVault from 'node-vault'

export interface StockSettings {
  readonly kubernetes: { readonly url: string; readonly caFile?: string | undefined; readonly token: string }
  readonly vault: { readonly url: string; readonly ca?: string | undefined; readonly token: string }
  readonly serving: { readonly certFile: string; readonly keyFile: string }
  readonly place: {
    readonly namespace: string
    readonly secret: string
    readonly dataKey: string
    readonly context: string
  }
  readonly keys: readonly string[]
}

const settings = JSON.parse(process.argv[2] ?? '{}') as StockSettings
const { kubernetes, vault, serving, place, keys } = settings

const config = new KubeConfig()
config.loadFromOptions({
  clusters: [
    {
      name: 'cluster',
      server: kubernetes.url,
      skipTLSVerify: kubernetes.url.startsWith('http:'),
      ...(kubernetes.caFile && { caFile: kubernetes.caFile }),
    },
  ],
  users: [{ name: 'service', token: kubernetes.token }],
  contexts: [{ name: 'context', cluster: 'cluster', user: 'service' }],
  currentContext: 'context',
})
const reviews = config.makeApiClient(AuthenticationV1Api)
const core = config.makeApiClient(CoreV1Api)
const client = nodeVault({
  endpoint: vault.url,
  token: vault.token,
  ...(vault.ca !== undefined && { requestOptions: { ca: vault.ca } }),
})

const app = Fastify({ https: { cert: readFileSync(serving.certFile), key: readFileSync(serving.keyFile) } })
app.get('/secrets/db', async (request, reply) => {
  const token = request.headers.authorization?.replace(/^Bearer /, '') ?? ''
  const { status } = await reviews.createTokenReview({
    body: { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token, audiences: ['keyhole'] } },
  })
  if (!status?.authenticated || !status.audiences?.includes('keyhole')) return reply.code(401).send()
  if (status.user?.username !== 'system:serviceaccount:payments:api') return reply.code(403).send()
  const secret = await core.readNamespacedSecret({ namespace: place.namespace, name: place.secret })
  const ciphertext = Buffer.from(secret.data?.[place.dataKey] ?? '', 'base64').toString()
  const { data } = await client.write('transit/decrypt/payments', { ciphertext, context: place.context })
  const dictionary = JSON.parse(Buffer.from(data.plaintext, 'base64').toString())
  return { name: 'db', data: Object.fromEntries(keys.map((key) => [key, dictionary[key]])) }
})
process.stdout.write(`${await app.listen({ host: '127.0.0.1', port: 0 })}\n`)
