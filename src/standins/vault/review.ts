/** Asks the API server about a JWT over HTTP, as Vault's auth method does: there is no back door between the stand-ins. */
import type { IncomingMessage } from 'node:http'
import { Agent, request as httpRequest } from 'node:http'
import { request as httpsRequest, Agent as SecureAgent } from 'node:https'
import type { VaultStandinOptions } from '../vault.ts'

/** Undefined: refused, or no usable answer. */
export type ReviewToken = (
  jwt: string,
  audiences: readonly string[],
  signal: AbortSignal,
) => Promise<{ readonly namespace: string; readonly name: string; readonly uid: string } | undefined>

interface Review {
  readonly status?: {
    readonly authenticated?: boolean
    readonly error?: string
    readonly audiences?: readonly string[]
    readonly user?: { readonly username?: string; readonly uid?: string }
  }
}

export function createReview(kubernetes: VaultStandinOptions['kubernetes']): { review: ReviewToken; close(): void } {
  const secure = kubernetes.url.startsWith('https:')
  const agent = secure ? new SecureAgent({ keepAlive: true, ca: kubernetes.ca }) : new Agent({ keepAlive: true })
  const url = new URL('/apis/authentication.k8s.io/v1/tokenreviews', kubernetes.url)

  async function ask(jwt: string, audiences: readonly string[], signal: AbortSignal): Promise<Review | undefined> {
    const bearer = kubernetes.reviewerToken?.() ?? jwt
    const headers = {
      authorization: `Bearer ${bearer}`,
      'content-type': 'application/json',
      accept: 'application/json',
    }
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      const send = secure ? httpsRequest : httpRequest
      const outgoing = send(url, { method: 'POST', agent, headers, signal }, resolve)
      outgoing.on('error', reject)
      outgoing.end(JSON.stringify({ spec: { token: jwt, audiences } }))
    })
    const chunks: Buffer[] = []
    for await (const chunk of answer) chunks.push(chunk as Buffer)
    return answer.statusCode === 201 ? (JSON.parse(Buffer.concat(chunks).toString()) as Review) : undefined
  }

  return {
    async review(jwt, audiences, signal) {
      const status = (await ask(jwt, audiences, signal).catch(() => undefined))?.status
      if (status === undefined || status.error || status.authenticated !== true) return undefined
      if (audiences.length > 0 && !audiences.some((audience) => status.audiences?.includes(audience))) return undefined
      const [system, kind, namespace, name, ...rest] = status.user?.username?.split(':') ?? []
      if (system !== 'system' || kind !== 'serviceaccount' || rest.length > 0) return undefined
      if (namespace === undefined || name === undefined) return undefined
      return { namespace, name, uid: status.user?.uid ?? '' }
    },
    close: () => agent.destroy(),
  }
}
