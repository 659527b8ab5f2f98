/** The process: environment in, exit code out. */
import { systemClock } from './clock.ts'
import { parseConfig } from './config.ts'
import { describeCause, openLog } from './log.ts'
import { realRandomness, serve } from './serve.ts'
import { VERSION } from './version.ts'

/** Exit codes: 0 after a drain, 1 for a start that cannot succeed as it is configured. */
async function main(): Promise<void> {
  const config = parseConfig(process.env)
  const log = openLog(config.KEYHOLE_LOG_LEVEL, process.stderr, systemClock)
  const serving = await serve(config, {
    ...realRandomness,
    clock: systemClock,
    log,
    stdout: process.stdout,
    versions: { keyhole: VERSION, node: process.version },
  })
  let stopping = false
  function stop(): void {
    // Asked twice: somebody does not want to wait for the drain.
    if (stopping) process.exit(1)
    stopping = true
    serving.stop().then(
      () => process.exit(0),
      (error: unknown) => {
        log.error('the drain failed', describeCause(error))
        process.exit(1)
      },
    )
  }
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
}

main().catch((error: unknown) => {
  // Only messages that are written to be read: those of our own start-up checks name files and variables.
  const message = error instanceof Error ? error.message : 'keyhole cannot start'
  process.stderr.write(`${message}\n`)
  process.exitCode = 1
  process.exit()
})
