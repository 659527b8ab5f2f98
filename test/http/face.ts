/** Another face of the same service, with bounds that a test can reach. */
import type { Server } from 'node:http'
import type { AppOptions, Services } from '../../src/app.ts'
import { buildApp } from '../../src/app.ts'
import type { Keyhole } from '../../src/testing/start-keyhole.ts'

export interface Face {
  readonly url: string
  readonly server: Server
  /** How many connections are open. */
  connections(): Promise<number>
  stop(): Promise<void>
}

export async function face(
  { serving }: Pick<Keyhole, 'serving'>,
  bounds: Partial<AppOptions> = {},
  change: (services: Services) => Services = (services) => services,
): Promise<Face> {
  const app = await buildApp(change(serving.wired.services), { ...BOUNDS, ...bounds })
  return {
    url: await app.listen({ host: '127.0.0.1', port: 0 }),
    server: app.server,
    connections: () =>
      new Promise((resolve, reject) => {
        app.server.getConnections((error, count) => (error === null ? resolve(count) : reject(error)))
      }),
    async stop() {
      app.server.closeAllConnections()
      await app.close()
    },
  }
}

export const BOUNDS: AppOptions = {
  maxHeaderBytes: 16_384,
  maxUrlBytes: 2_048,
  replyTimeoutMs: 15_000,
  waitTimeoutMs: 5_000,
  headersTimeoutMs: 5_000,
  requestTimeoutMs: 10_000,
  keepAliveTimeoutMs: 65_000,
  maxRequestsPerSocket: 10_000,
  maxConnections: 100,
}
