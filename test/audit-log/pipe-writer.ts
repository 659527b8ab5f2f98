/** A process that audits to its standard output until nobody reads it, and then until its reader has left. */
import { randomBytes } from 'node:crypto'
import { openAuditLog } from '../../src/audit-log/log.ts'
import { stdoutSink } from '../../src/audit-log/sink.ts'
import { systemClock } from '../../src/clock.ts'
import { KeyholeError } from '../../src/errors.ts'
import { decision } from './records.ts'

const log = await openAuditLog({
  sink: stdoutSink(process.stdout),
  clock: systemClock,
  random: randomBytes,
  versions: { keyhole: '0.1.0', node: process.version },
  policyHash: () => undefined,
  // As long as one append is refused for it: long enough for a busy machine to write the others.
  timeoutMs: 5_000,
})

await log.append(decision())
process.send?.('written')
await refused('audit-sink-blocked')
process.send?.('blocked')
await refused('audit-sink-failed')
process.send?.('failed')
await log.close()
process.disconnect()

/** Appends until that is the reason it is refused with. */
async function refused(why: string): Promise<void> {
  const keys = Array.from({ length: 50 }, () => 'k'.repeat(200))
  for (;;) {
    try {
      await log.append(decision({ keys }))
    } catch (error) {
      if (error instanceof KeyholeError && error.why === why) return
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }
}
