/** `keyhole rotate`: has keyhole rotate, watches it, and stays until it is done or the budget is. */
import type { RotationReport } from '../contract.ts'
import { rotateDueKeys } from './due-rotation.ts'
import type { Outcome } from './outcome.ts'
import { errorOf, tell } from './outcome.ts'
import { merged, requestsFor } from './plan.ts'
import { openProgress } from './progress.ts'
import { ROTATE_HELP } from './rotate-help.ts'
import type { RotateOptions } from './rotate-options.ts'
import { parseRotateOptions } from './rotate-options.ts'
import { openScreen } from './screen.ts'
import type { Session } from './session.ts'
import { withSession } from './session.ts'
import type { ExitCode, World } from './world.ts'
import { EXIT } from './world.ts'

export async function rotate(args: readonly string[], world: World): Promise<ExitCode> {
  const asked = parseRotateOptions(args, world.environment)
  if ('help' in asked) {
    world.stdout.write(ROTATE_HELP)
    return EXIT.done
  }
  if ('complaints' in asked) return tell(usage(asked.complaints), asked.output, world)
  const { options, output } = asked
  const watching = openScreen(output === 'json' ? world.stderr : world.stdout, world.environment)
  const progress = openProgress(watching, world.clock)
  const outcome = await withSession(options, world, progress, (session) =>
    options.ifOlderThan === undefined
      ? rotateKeys(options, session)
      : rotateDueKeys(options, options.ifOlderThan, session),
  )
  return tell(outcome, output, world)
}

function usage(details: readonly string[]): Outcome {
  const detail = 'Nothing was asked of keyhole. keyhole rotate --help tells more.'
  return errorOf({ exit: EXIT.usage, code: 'usage', detail, details })
}

/** Whatever their age. The first request that fails ends it; an incomplete report is no reason to leave the next. */
async function rotateKeys(options: RotateOptions, session: Session): Promise<Outcome> {
  const reports: RotationReport[] = []
  for (const request of requestsFor(options)) {
    const ended = await session.rotate(request)
    if ('failed' in ended) return errorOf(ended.failed, merged(reports))
    reports.push(ended.done)
  }
  const report = merged(reports)
  if (report === undefined) throw new Error('no request was made of the options')
  return { type: 'report', report }
}
