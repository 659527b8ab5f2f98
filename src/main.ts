/** The process: environment in, exit code out. */
import { systemClock } from './clock.ts'
import { ConfigError, parseConfig } from './config.ts'
import { boundedDestination, describeCause, openLog } from './log.ts'
import { realRandomness, serve } from './serve.ts'
import { StartError } from './starting.ts'
import { VERSION } from './version.ts'

/** Exit codes: 0 after a drain; 1 for a start that cannot succeed as it is configured, a drain cut short, or a defect. */
async function main(): Promise<void> {
  const config = parseConfig(process.env)
  const log = openLog(config.KEYHOLE_LOG_LEVEL, boundedDestination(process.stderr), systemClock)
  // Node would print the error with everything that hangs on it. Rejections that nobody handles come here, too.
  process.on('uncaughtException', (error, origin) => {
    log.error('a defect ends the process', { origin, ...describeCause(error) })
    process.exit(1)
  })
  // Before anything else, since the first process of a container dies of no signal that it does not handle.
  let stopping = false
  function stop(): void {
    // Asked twice: somebody does not want to wait for the drain.
    if (stopping) process.exit(1)
    stopping = true
    serving
      .then((started) => started.stop())
      .then(
        () => process.exit(0),
        (error: unknown) => fail(error),
      )
  }
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
  const serving = serve(config, {
    ...realRandomness,
    clock: systemClock,
    log,
    stdout: process.stdout,
    versions: { keyhole: VERSION, node: process.version },
  })
  await serving
}

function fail(error: unknown): void {
  process.stderr.write(`${problemOf(error)}\n`)
  process.exit(1)
}

/** Only messages that are written to be read are: any other may quote what it choked on. */
function problemOf(error: unknown): string {
  if (error instanceof ConfigError) return error.message
  if (error instanceof StartError) return `keyhole cannot start: ${error.message}`
  return `a defect ends the process: ${JSON.stringify(describeCause(error))}`
}

main().catch(fail)
