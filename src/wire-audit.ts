/** The audit log on its sink, with a record of every change of the policy. */
import type { AuditLog } from './audit-log/log.ts'
import { openAuditLog } from './audit-log/log.ts'
import type { Head } from './audit-log/record.ts'
import { SinkError } from './audit-log/sink.ts'
import { auditSink } from './audit-sink.ts'
import type { Clock } from './clock.ts'
import type { Config } from './config.ts'
import type { Log } from './log.ts'
import { describeCause } from './log.ts'
import type { Metrics } from './metrics.ts'
import type { PolicyChange } from './policy/current.ts'
import { starting } from './starting.ts'
import type { Surroundings } from './surroundings.ts'
import type { WatchedPolicy } from './wire-policy.ts'

/** @throws StartError: a sink that fails. */
export async function wireAudit(
  config: Config,
  { clock, log, random, stdout, versions }: Surroundings,
  metrics: Metrics,
  policy: WatchedPolicy,
): Promise<AuditLog> {
  const options = {
    sink: auditSink(config, { stdout, log, metrics }),
    clock,
    random,
    versions,
    policyHash: () => policy.current().hash,
    timeoutMs: config.KEYHOLE_AUDIT_TIMEOUT_MS,
    maxQueued: config.KEYHOLE_AUDIT_QUEUE,
    refusalsPerSecond: config.KEYHOLE_REFUSALS_PER_SECOND,
    refusalsBurst: config.KEYHOLE_REFUSALS_BURST,
    keepHead: ({ instance, seq, sha256 }: Head) => log.info('audit head', { instance, seq, sha256 }),
  }
  const audit = await starting('KEYHOLE_AUDIT', () => openAuditLog(options), SinkError)
  policy.onChange((change) => record(change, { audit, clock, log }))
  return audit
}

interface Recorder {
  readonly audit: AuditLog
  readonly clock: Clock
  readonly log: Log
}

function record({ from, to, added, changed, removed, problems }: PolicyChange, { audit, clock, log }: Recorder): void {
  audit
    .append({
      kind: 'policy',
      timeMs: clock.now(),
      from,
      to,
      documents: [...added, ...changed, ...removed],
      problems: problems.length,
    })
    // It makes the log unhealthy, and with it keyhole: nothing more to do here.
    .catch((error: unknown) => log.error('the policy change has no audit record', describeCause(error)))
}
