/** What is wrong with a command line, in the one form that every verb has for it. */
import type { Screen } from './screen.ts'
import type { ExitCode } from './world.ts'
import { EXIT } from './world.ts'

/** @param instead what was not done, as a sentence. */
export function complain(screen: Screen, verb: string, complaints: readonly string[], instead: string): ExitCode {
  for (const complaint of complaints) screen.line(`keyhole ${verb}: ${complaint}`, 'bad')
  screen.line(`${instead} keyhole ${verb} --help tells more.`)
  return EXIT.usage
}
