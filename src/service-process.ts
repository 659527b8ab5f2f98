/** The service as a process: environment in, exit code out. What `npm start` and `keyhole serve` run. */
import { systemClock } from './clock.ts'
import { ConfigError, parseConfig } from './config.ts'
import { boundedDestination, describeCause, openLog } from './log.ts'
import { realRandomness, serve } from './serve.ts'
import { StartError } from './starting.ts'
import { VERSION } from './version.ts'
import { Stopped } from './waiting.ts'

/**
 * Resolves once it serves; then it ends the process when `stopping` aborts. Exit codes: 0 after a drain, or when told to
 * stop before it served; 1 for a start that cannot succeed as it is configured, a drain cut short, or a defect.
 */
export async function runService(
  environment: Readonly<Record<string, string | undefined>>,
  stopping: AbortSignal,
): Promise<void> {
  try {
    const config = parseConfig(environment)
    const log = openLog(config.KEYHOLE_LOG_LEVEL, boundedDestination(process.stderr), systemClock)
    // Node would print the error with everything that hangs on it. Rejections that nobody handles come here, too.
    process.on('uncaughtException', (error, origin) => {
      log.error('a defect ends the process', { origin, ...describeCause(error) })
      process.exit(1)
    })
    const serving = await serve(config, {
      ...realRandomness,
      clock: systemClock,
      log,
      stdout: process.stdout,
      stopping,
      versions: { keyhole: VERSION, node: process.version },
    })
    const stop = () => void serving.stop().then(() => process.exit(0), fail)
    stopping.addEventListener('abort', stop)
    if (stopping.aborted) stop()
  } catch (error) {
    fail(error)
  }
}

function fail(error: unknown): void {
  if (error instanceof Stopped) process.exit(0)
  process.stderr.write(`${problemOf(error)}\n`)
  process.exit(1)
}

/** Only messages that are written to be read are: any other may quote what it choked on. */
function problemOf(error: unknown): string {
  if (error instanceof ConfigError) return error.message
  if (error instanceof StartError) return `keyhole cannot start: ${error.message}`
  return `a defect ends the process: ${JSON.stringify(describeCause(error))}`
}
