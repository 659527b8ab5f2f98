/** Where the contenders run: on the real servers, or, said aloud, on the stand-ins. */
import { mkdtempSync, rmSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { transitContext } from '../src/services/place.ts'
import { publish } from '../src/testing/mounted-volume.ts'
import { SAMPLE_DICTIONARY, SAMPLE_POLICY, SAMPLE_REALM, WORKLOADS } from '../src/testing/sample.ts'
import type { Upstreams } from '../src/testing/start-keyhole.ts'
import { startStandins } from '../src/testing/start-keyhole.ts'
import { build } from '../test/servers/build.ts'
import { certificateAuthority } from '../test/servers/certificates.ts'
import { operatorOf } from '../test/servers/operator.ts'
import type { PythonLibrary } from '../test/servers/python.ts'
import { pythonLibrary } from '../test/servers/python.ts'
import { AUDIENCE, DERIVED_KEY, KEYHOLE, SECRETS, setUp } from '../test/servers/set-up.ts'
import type { Connection } from '../test/servers/start.ts'
import { ISSUER, startServers } from '../test/servers/start.ts'

export interface BenchWorld extends AsyncDisposable {
  readonly servers: string
  readonly upstreams: Upstreams
  /** PEM of the CA of the upstreams, where they use TLS. */
  readonly upstreamCa: string | undefined
  /** Certificate for whatever is measured over TLS, and its CA. */
  readonly serving: { readonly certFile: string; readonly keyFile: string; readonly ca: string }
  /** What the floor and the straightforward service call with: the same rights as keyhole's, long-lived. */
  readonly credentials: { readonly kubernetes: string; readonly vault: string }
  readonly place: {
    readonly namespace: string
    readonly secret: string
    readonly dataKey: string
    readonly context: string
  }
  /** Distinct tokens of payments/api, bound to its pod, for keyhole's audience. */
  freshTokens(count: number): Promise<readonly string[]>
  /** Replaces the dictionary. */
  seal(plaintext: string): Promise<void>
  readonly python: PythonLibrary | undefined
  /** Of the real servers. */
  readonly connection: Connection | undefined
}

export const BENCH_POLICY = SAMPLE_POLICY

const { pod: POD, ...API } = WORKLOADS.api
const PLACE = { namespace: 'payments', secret: 'payments-db', dataKey: 'secrets.json' } as const
const CONTEXT = transitContext(SAMPLE_REALM, PLACE, PLACE.dataKey)

export async function openWorld(standins: boolean, say: (line: string) => void): Promise<BenchWorld> {
  if (standins) return await standinWorld()
  try {
    return await realWorld(say)
  } catch (error) {
    say(
      `the real servers cannot be had (${error instanceof Error ? error.message : 'unknown'}); falling back to stand-ins`,
    )
    return await standinWorld()
  }
}

async function realWorld(say: (line: string) => void): Promise<BenchWorld> {
  const programs = await build(say)
  const running = await startServers({ programs, say })
  const { connection } = running
  const operator = operatorOf(connection)
  await setUp(connection, operator)
  const { kubernetes, vault } = operator
  await kubernetes.createServiceAccount({ namespace: API.namespace, name: API.serviceAccount })
  const { uid } = await kubernetes.createPod({
    namespace: API.namespace,
    name: POD,
    serviceAccount: API.serviceAccount,
  })
  const own = { namespace: KEYHOLE.namespace, serviceAccount: KEYHOLE.name, expirationSeconds: 86_400 }
  const ownToken = await kubernetes.issueToken({ ...own, audiences: [ISSUER] })
  const mounted = join(connection.directory, 'keyhole-credentials')
  await publish(mounted, {
    kubernetes: ownToken,
    vault: await kubernetes.issueToken({ ...own, audiences: [AUDIENCE.vault] }),
  })
  const seal = async (plaintext: string): Promise<void> => {
    const ciphertext = await vault.encrypt(DERIVED_KEY, plaintext, CONTEXT)
    await kubernetes.putSecret({ namespace: PLACE.namespace, name: SECRETS.db, data: { [PLACE.dataKey]: ciphertext } })
  }
  await seal(SAMPLE_DICTIONARY)
  const python = await pythonLibrary(connection, operator, programs)
  await python.write(SAMPLE_DICTIONARY)
  const { caFile, ca } = connection
  return {
    servers: 'kube-apiserver 1.36.3 with etcd, Vault 1.21.0',
    upstreams: {
      kubernetes: { url: connection.kubernetes.origin, caFile, tokenFile: join(mounted, 'kubernetes') },
      vault: { url: connection.vault.origin, caFile, tokenFile: join(mounted, 'vault') },
    },
    upstreamCa: ca,
    serving: servingCertificate(connection.directory),
    credentials: {
      kubernetes: ownToken,
      vault: await vault.createToken({ policies: ['keyhole'], ttlSeconds: 86_400, type: 'batch' }),
    },
    place: { ...PLACE, context: CONTEXT },
    freshTokens: (count) =>
      inOrder(count, () => kubernetes.issueToken({ ...API, audiences: [AUDIENCE.keyhole], pod: { name: POD, uid } })),
    seal,
    python,
    connection,
    [Symbol.asyncDispose]: () => running.stop(),
  }
}

async function standinWorld(): Promise<BenchWorld> {
  const standins = await startStandins()
  const { kubernetes, vault, upstreams } = standins
  const directory = mkdtempSync(join(tmpdir(), 'keyhole-bench-'))
  return {
    servers: 'stand-ins in the process of the bench: no figure here says anything about real servers',
    upstreams,
    upstreamCa: undefined,
    serving: servingCertificate(directory),
    credentials: {
      kubernetes: await readFile(upstreams.kubernetes.tokenFile, 'utf8'),
      vault: vault.createToken({ policies: ['keyhole-read'], ttlSeconds: 86_400, type: 'batch' }),
    },
    place: { ...PLACE, context: CONTEXT },
    freshTokens: (count) => inOrder(count, async () => standins.tokenOf('api')),
    async seal(plaintext) {
      const ciphertext = vault.transit().encrypt('payments', plaintext, { context: Buffer.from(CONTEXT, 'base64') })
      kubernetes.putSecret({ namespace: PLACE.namespace, name: PLACE.secret, data: { [PLACE.dataKey]: ciphertext } })
    },
    python: undefined,
    connection: undefined,
    async [Symbol.asyncDispose]() {
      await standins[Symbol.asyncDispose]()
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

function servingCertificate(parent: string): BenchWorld['serving'] {
  const authority = certificateAuthority(mkdtempSync(join(parent, 'serving-')))
  return { ...authority.issue('keyhole'), ca: authority.ca }
}

async function inOrder<T>(count: number, act: () => Promise<T>): Promise<readonly T[]> {
  const results: T[] = []
  for (let done = 0; done < count; done += 1) results.push(await act())
  return results
}
