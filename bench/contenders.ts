/** What is measured: each contender is one GET as its caller sees it, from the first byte sent to the last one read. */
import { Agent, request } from 'undici'
import type { KeyholeProcess } from '../src/testing/keyhole-process.ts'
import { startKeyholeProcess } from '../src/testing/keyhole-process.ts'
import type { BenchWorld } from './world.ts'
import { BENCH_POLICY } from './world.ts'

export type Get = (token: string) => Promise<void>

/** The same upstream calls, one after the other, on kept-alive connections: nothing can be faster in this order. */
export interface Floor extends AsyncDisposable {
  readonly unseen: Get
  readonly seen: () => Promise<void>
}

export function floor(world: BenchWorld): Floor {
  const { upstreams, credentials, place } = world
  const dispatcher = new Agent({ connect: world.upstreamCa === undefined ? {} : { ca: world.upstreamCa } })
  const kubernetes = { authorization: `Bearer ${credentials.kubernetes}`, 'content-type': 'application/json' }

  async function seen(): Promise<void> {
    const path = `/api/v1/namespaces/${place.namespace}/secrets/${place.secret}`
    const secret = await answered(request(upstreams.kubernetes.url + path, { dispatcher, headers: kubernetes }))
    const { data } = JSON.parse(secret) as { data: Record<string, string> }
    const ciphertext = Buffer.from(data[place.dataKey] ?? '', 'base64').toString()
    await answered(
      request(`${upstreams.vault.url}/v1/transit/decrypt/payments`, {
        dispatcher,
        method: 'POST',
        headers: { 'x-vault-token': credentials.vault, 'content-type': 'application/json' },
        body: JSON.stringify({ ciphertext, context: place.context }),
      }),
    )
  }

  return {
    seen,
    async unseen(token) {
      const review = {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenReview',
        spec: { token, audiences: ['keyhole'] },
      }
      await answered(
        request(`${upstreams.kubernetes.url}/apis/authentication.k8s.io/v1/tokenreviews`, {
          dispatcher,
          method: 'POST',
          headers: kubernetes,
          body: JSON.stringify(review),
        }),
      )
      await seen()
    },
    [Symbol.asyncDispose]: () => dispatcher.close(),
  }
}

async function answered(call: ReturnType<typeof request>): Promise<string> {
  const { statusCode, body } = await call
  const text = await body.text()
  if (statusCode >= 300) throw new Error(`the floor was refused with ${statusCode}`)
  return text
}

export interface Service extends AsyncDisposable {
  readonly get: Get
  readonly pid: number
}

/** keyhole as a process, over TLS, with its audit records on stdout as in its default deployment. */
export async function keyhole(
  world: BenchWorld,
  nodeFlags: readonly string[] = [],
  more: Readonly<Record<string, string>> = {},
): Promise<Service & { readonly process: KeyholeProcess }> {
  const process = await startKeyholeProcess(world.upstreams, {
    policy: BENCH_POLICY,
    nodeFlags,
    settings: {
      KEYHOLE_TLS_CERT_FILE: world.serving.certFile,
      KEYHOLE_TLS_KEY_FILE: world.serving.keyFile,
      KEYHOLE_AUDIT: 'stdout',
      ...more,
    },
  })
  const client = getter(world, `${process.url}/secrets/db`)
  return {
    ...client,
    pid: process.pid,
    process,
    async [Symbol.asyncDispose]() {
      await client[Symbol.asyncDispose]()
      await process[Symbol.asyncDispose]()
    },
  }
}

/** As its own metrics count them. */
export async function upstreamCalls(managementUrl: string): Promise<number> {
  const { body } = await request(`${managementUrl}/metrics`, { dispatcher: new Agent({ keepAliveTimeout: 1 }) })
  const lines = (await body.text()).split('\n').filter((line) => line.startsWith('keyhole_upstream_calls_total{'))
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0)
}

/** A caller that keeps its connections, trusting only the CA of what it calls. */
export function getter(world: BenchWorld, url: string): { readonly get: Get } & AsyncDisposable {
  const dispatcher = new Agent({ connect: { ca: world.serving.ca } })
  return {
    async get(token) {
      const { statusCode, body } = await request(url, { dispatcher, headers: { authorization: `Bearer ${token}` } })
      const text = await body.text()
      if (statusCode !== 200) throw new Error(`${url} answered ${statusCode}: ${text}`)
    },
    [Symbol.asyncDispose]: () => dispatcher.close(),
  }
}
