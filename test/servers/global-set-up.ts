/** Starts the servers once for all suites of the project `servers`, and tells the suites how to reach and to kill them. */
import type { TestProject } from 'vitest/node'
import { build } from './build.ts'
import { openControl } from './control.ts'
import type { Say } from './machine.ts'
import { operatorOf } from './operator.ts'
import type { Programs } from './programs.ts'
import { setUp } from './set-up.ts'
import type { Connection } from './start.ts'
import { startServers } from './start.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    connection: Connection
    programs: Programs
    /** Path of the control socket. */
    control: string
  }
}

const say: Say = (line) => void process.stdout.write(`servers: ${line}\n`)

export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const programs = await build(say)
  const servers = await startServers({ programs, say })
  try {
    await setUp(servers.connection, operatorOf(servers.connection))
    const control = await openControl(servers)
    project.provide('connection', servers.connection)
    project.provide('programs', programs)
    project.provide('control', control.path)
    return async () => {
      await control.close()
      await servers.stop(project.vitest.state.getCountOfFailedTests() > 0 ? 'failed' : undefined)
    }
  } catch (thrown) {
    await servers.stop('failed')
    throw thrown
  }
}
