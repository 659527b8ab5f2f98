/** What asks a process to end. */

/**
 * Aborts on SIGINT and SIGTERM. An entry asks for it before it loads anything, since the first process of a container
 * dies of no signal that it does not handle.
 *
 * @param exitWhenTwice exit code for whoever is told again, and so is not to wait for what is under way.
 */
export function untilTold(exitWhenTwice: number): AbortSignal {
  const stopping = new AbortController()
  const stop = () => {
    if (stopping.signal.aborted) process.exit(exitWhenTwice)
    stopping.abort()
  }
  process.on('SIGINT', stop)
  process.on('SIGTERM', stop)
  return stopping.signal
}
