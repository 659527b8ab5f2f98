/**
 * The one place where real clients are made and every part is handed what it needs. Nothing below knows where it runs;
 * the compiler proves here that the clients of external/ fit the ports that the services declare.
 */
import type { Writable } from 'node:stream'
import type { Services } from './app.ts'
import type { AuditLog } from './audit-log/log.ts'
import { openAuditLog } from './audit-log/log.ts'
import type { Head } from './audit-log/record.ts'
import type { Sink } from './audit-log/sink.ts'
import { fileSink, SinkError, stdoutSink } from './audit-log/sink.ts'
import type { Clock } from './clock.ts'
import { every } from './clock.ts'
import type { Config } from './config.ts'
import { UpstreamError } from './errors.ts'
import { openKubernetes } from './external/kubernetes.ts'
import { observed } from './external/observed.ts'
import type { Renewed } from './external/renewed-file.ts'
import { parseCa, parseToken, renewedFile, UnreadableFile } from './external/renewed-file.ts'
import type { SendDecorator, Sender } from './external/send.ts'
import { openSend } from './external/send.ts'
import { openVault } from './external/vault.ts'
import { vaultHealth } from './external/vault-health.ts'
import { openVaultRotation } from './external/vault-rotation.ts'
import type { Health, LastOutcome } from './health.ts'
import { lastOutcome, openHealth } from './health.ts'
import { attempts } from './http/attempt.ts'
import type { Log } from './log.ts'
import { describeCause, refusalLog } from './log.ts'
import type { Metrics } from './metrics.ts'
import { openMetrics, showTransitKeys } from './metrics.ts'
import type { Token } from './opaque.ts'
import type { PolicyChange, PolicySource } from './policy/current.ts'
import { openPolicy, PolicyDirectoryError, requirePolicyDirectory } from './policy/current.ts'
import type { PolicyProblem } from './policy/problems.ts'
import { formatProblem } from './policy/problems.ts'
import { auditor } from './services/audit.ts'
import { authenticator } from './services/authenticate.ts'
import { authorizer } from './services/authorize.ts'
import { ciphertextReader } from './services/ciphertext.ts'
import { decryptor } from './services/decrypt.ts'
import { discloser } from './services/disclose.ts'
import { opener } from './services/open.ts'
import type { TransitKeys } from './services/transit-keys.ts'
import { transitKeys } from './services/transit-keys.ts'
import type { Turnstile } from './services/turnstile.ts'
import { turnstile } from './services/turnstile.ts'
import { outcomeFix } from './services/upstream.ts'
import { vaultSessions } from './services/vault-sessions.ts'
import { FILE_FIXES, starting } from './starting.ts'
import { surveyLog } from './survey-log.ts'
import type { Waiting } from './waiting.ts'
import { ROTATION_OUTCOMES, wireRotation } from './wire-rotation.ts'

/** What the process brings and tests replace. */
export interface Surroundings {
  readonly clock: Clock
  readonly log: Log
  /** So many random bytes. */
  readonly random: (bytes: number) => Buffer
  /** A fresh UUID for a request. */
  readonly requestId: () => string
  /** Where `KEYHOLE_AUDIT=stdout` writes. */
  readonly stdout: Writable
  readonly versions: { readonly keyhole: string; readonly node: string }
  /** Wraps every call that leaves: recorders and faults of tests. */
  readonly decorate?: SendDecorator
  /** Aborted: a start that still waits for its files is given up, and a stop lets clients come once more. */
  readonly stopping?: AbortSignal
}

export interface Wired {
  readonly services: Services
  readonly health: Health
  readonly metrics: Metrics
  readonly policy: PolicySource
  readonly keys: TransitKeys
  /** Asks both upstreams for a word, so that whatever is wrong between them and keyhole is in the log before a caller asks. */
  greet(): Promise<void>
  /** Asks Vault about every key of the policy; given up when keyhole ends. */
  checkKeys(): Promise<void>
  /** Looks at every Secret of the policy, where rotations are served. */
  takeSurvey(): Promise<void>
  /** Lets a rotation end what it has begun, and no more. */
  halt(): void
  /** Ends what runs by itself, lets upstream calls end, and closes the audit log with its last record. */
  close(): Promise<void>
}

/** How often every key is asked about, and how long an answer stands: a good one outlives the next round; a bad one may have been mended. */
const PROBE_EVERY_MS = 3_600_000
const PROBE_KEEP_MS = 2 * PROBE_EVERY_MS
const PROBE_RETRY_MS = 10_000
const GREET_AGAIN_MS = 10_000
const MAX_REVIEWS_KEPT = 10_000
const MAX_CLOCK_SKEW_MS = 60_000
/** Of requests and of reviews, what one peer address may take: a gateway in front is one address, a pod is another. */
const REQUEST_SHARE = 1 / 2
const REVIEW_SHARE = 1 / 4
/** A reply holds a dictionary and little else, one level deeper. */
const REPLY_OVERHEAD_BYTES = 65_536

/** What keyhole shows of itself, from before it serves. */
export interface Shown {
  readonly health: Health
  readonly metrics: Metrics
}

export function openShown(config: Config, { versions }: Pick<Surroundings, 'versions'>): Shown {
  const health = openHealth()
  const metrics = openMetrics(routesOf(config))
  metrics.info('keyhole_build_info', 'What this process is built from; always 1.', {
    version: versions.keyhole,
    node: versions.node,
  })
  metrics.gauges('keyhole_ready', '1 while this process is ready, for each thing that it serves.', 'serves', () =>
    servesOf(config).map((what) => [what, Number(health.ready())] as const),
  )
  return { health, metrics }
}

/** @throws StartError: a sink that fails, or a policy directory that is gone again. */
export async function wire(
  config: Config,
  surroundings: Surroundings,
  files: OwnFiles,
  { health, metrics }: Shown,
): Promise<Wired> {
  const { clock, log } = surroundings
  const tellRefusal = refusalLog(log, clock)

  // What the callbacks below need is there before any of them can be called.
  let audit: AuditLog | undefined
  let keys: TransitKeys | undefined
  let policyTakenAt = clock.now()
  const ending = new AbortController()
  const checkKeys = async () => {
    // Who only rotates may not decrypt, and reads of a key what it needs to know.
    if (config.serves.read) await keys?.recheck(policy.current().transitKeys.values(), ending.signal)
  }
  const policyOptions = {
    directory: config.KEYHOLE_POLICY_DIR,
    clock,
    watch: true,
    recheckMs: config.KEYHOLE_POLICY_RECHECK_MS,
    changed(change: PolicyChange) {
      policyTakenAt = clock.now()
      policyChanged(change, { log, clock, audit, checkKeys })
    },
    reported(problems: readonly PolicyProblem[]) {
      for (const problem of problems) log.warn('policy problem', { problem: formatProblem(problem) })
    },
  }
  const policy = await starting('KEYHOLE_POLICY_DIR', () => openPolicy(policyOptions), PolicyDirectoryError)
  const auditOptions = {
    sink: told(counted(sinkOf(config, surroundings.stdout), metrics), log, () => audit !== undefined),
    clock,
    random: surroundings.random,
    versions: surroundings.versions,
    policyHash: () => policy.current().hash,
    timeoutMs: config.KEYHOLE_AUDIT_TIMEOUT_MS,
    maxQueued: config.KEYHOLE_AUDIT_QUEUE,
    refusalsPerSecond: config.KEYHOLE_REFUSALS_PER_SECOND,
    refusalsBurst: config.KEYHOLE_REFUSALS_BURST,
    keepHead: (head: Head) => log.info('audit head', { instance: head.instance, seq: head.seq, sha256: head.sha256 }),
  }
  // Last of what can fail, so that a start that fails leaves no record of one.
  try {
    audit = await starting('KEYHOLE_AUDIT', () => openAuditLog(auditOptions), SinkError)
  } catch (error) {
    policy.close()
    throw error
  }

  const { kubernetes, vault, rotation, senders, untrusted } = upstreams(config, files, surroundings, metrics, health)
  const greet = async () => {
    await Promise.allSettled([kubernetes.whoAmI(ending.signal), vault.health(ending.signal)])
  }
  // Not ready, keyhole is asked nothing: it would never find out that its CA was mended.
  const stopGreeting = every(clock, GREET_AGAIN_MS, () => void (untrusted() && greet()))
  const sessions = vaultSessions({
    logins: vault,
    clock,
    // A call begun with a token should end before the token does.
    marginMs: Math.min(config.KEYHOLE_UPSTREAM_TIMEOUT_MS, config.KEYHOLE_VAULT_TOKEN_MAX_MS / 2),
    maxUseMs: config.KEYHOLE_VAULT_TOKEN_MAX_MS,
    overlong(role, leaseSeconds) {
      const fix =
        'set token_ttl=10s token_type=batch on the Vault role: its tokens outlive their use, and nothing ends them'
      log.warn('Vault tokens live too long', { role, leaseSeconds, fix })
    },
  })
  const decrypt = decryptor({
    transit: vault,
    sessions,
    realm: config.KEYHOLE_REALM,
    role: config.KEYHOLE_VAULT_ROLE,
  })
  keys = transitKeys({
    ask: decrypt.refusal,
    clock,
    keepMs: PROBE_KEEP_MS,
    retryMs: PROBE_RETRY_MS,
    changed(key, condition, fix) {
      const level = condition === 'derived' ? 'info' : 'warn'
      log[level]('transit key', { transitKey: key.name, mount: key.mount, condition, fix })
    },
    unasked({ why, fix }, count) {
      log.warn('transit keys not asked about', { keys: count, why, fix })
    },
  })
  const stopRechecking = every(clock, PROBE_EVERY_MS, () => void checkKeys())
  const rotator = config.serves.rotate
    ? wireRotation(config, {
        kubernetes,
        transit: rotation,
        sessions,
        logins: vault,
        log: audit,
        clock,
        policy: policy.current,
        newId: surroundings.requestId,
        holder: surroundings.random(16).toString('hex'),
        failed: tellRefusal,
        rotated: metrics.counter(
          'keyhole_rotations_total',
          'Rotations that came to their end in this process, by whether every Secret is where it should be.',
          'outcome',
          ROTATION_OUTCOMES,
        ),
      })
    : undefined
  const tellSurvey = surveyLog(log)
  const takeSurvey = async () => {
    // Its failures are in the ledger, key by key. What is wrong with the Lease, the next rotation tells.
    await Promise.allSettled([rotator?.survey.now(ending.signal).then(tellSurvey), rotator?.recall(ending.signal)])
  }
  const stopSurveying =
    rotator === undefined ? () => {} : every(clock, config.KEYHOLE_SURVEY_MS, () => void takeSurvey())

  const ciphertext = ciphertextReader(kubernetes)
  const bounds = { maxBytes: config.KEYHOLE_MAX_DICTIONARY_BYTES, maxDepth: config.KEYHOLE_MAX_DICTIONARY_DEPTH }
  const reviews = turnstile({
    inside: config.KEYHOLE_REVIEWS_IN_FLIGHT,
    waiting: config.KEYHOLE_REQUESTS_WAITING,
    sharePerPeer: REVIEW_SHARE,
  })
  const requests = turnstile({
    inside: config.KEYHOLE_REQUESTS_IN_FLIGHT,
    waiting: config.KEYHOLE_REQUESTS_WAITING,
    sharePerPeer: REQUEST_SHARE,
  })
  const door = {
    audit: auditor({
      log: audit,
      clock,
      deadlineMs: config.KEYHOLE_DEADLINE_MS,
      policyHash: () => policy.current().hash,
    }),
    authenticate: authenticator({
      reviews: kubernetes,
      turnstile: reviews,
      clock,
      keepMs: config.KEYHOLE_REVIEW_KEEP_MS,
      maxKept: MAX_REVIEWS_KEPT,
      claims: {
        audience: config.KEYHOLE_AUDIENCE,
        maxTokenBytes: config.KEYHOLE_MAX_TOKEN_BYTES,
        maxLifetimeMs: config.KEYHOLE_MAX_TOKEN_LIFETIME_MS,
        maxSkewMs: MAX_CLOCK_SKEW_MS,
      },
    }),
    authorize: authorizer(policy.current, clock),
    attempts: attempts(),
  }
  const reading = {
    ciphertext,
    open: opener({ decrypt, ciphertext, keys }),
    disclose: discloser(bounds),
    replyBounds: replyBounds(config),
  }
  showOwnState({ health, metrics, audit, policy, keys, requests, reviews })
  metrics.gauge(
    'keyhole_policy_changed_timestamp_seconds',
    'When the policy in force was taken, as a Unix time.',
    () => policyTakenAt / 1000,
  )
  if (rotator !== undefined) {
    showTransitKeys({
      metrics,
      clock,
      survey: rotator.survey,
      isRotated: (key) => (policy.current().transitKeys.get(key)?.rotation.admins.length ?? 0) > 0,
      withNames: config.KEYHOLE_METRICS_KEY_NAMES === 'show',
    })
    metrics.gauge(
      'keyhole_rotation_last_success_timestamp_seconds',
      'When a rotation last ended with every Secret where it should be, as a Unix time; 0 while none is known of.',
      () => (rotator.lastSuccessMs() ?? 0) / 1000,
    )
  }

  const closingAudit = audit
  return {
    services: {
      door,
      reading: config.serves.read ? reading : undefined,
      rotating: rotator,
      turnstile: requests,
      clock,
      refusedUnauthenticated: closingAudit.refusedUnauthenticated,
      refused(error, requestId) {
        metrics.refused(error.code)
        tellRefusal(error, requestId)
      },
      replied: metrics.replied,
      requestId: surroundings.requestId,
    },
    health,
    metrics,
    policy,
    keys,
    greet,
    checkKeys,
    takeSurvey,
    halt: () => rotator?.rotations.halt(),
    async close() {
      stopGreeting()
      stopRechecking()
      stopSurveying()
      ending.abort()
      policy.close()
      await rotator?.rotations.close()
      await Promise.all(senders.map((sender) => sender.close()))
      await closingAudit.close()
    },
  }
}

/** keyhole's own credentials, and whom it trusts. */
export interface OwnFiles {
  readonly kubernetesToken: Renewed<Token>
  readonly kubernetesCa: Renewed<string> | undefined
  readonly vaultJwt: Renewed<Token>
  readonly vaultCa: Renewed<string> | undefined
}

/** Waits for them, and for a policy directory. @throws Stopped */
export async function ownFiles(config: Config, clock: Clock, waiting: Waiting): Promise<OwnFiles> {
  const when = async <T>(setting: keyof typeof FILE_FIXES, path: string, parse: (text: string) => T) =>
    await waiting.until({ setting, fix: FILE_FIXES[setting], problem: UnreadableFile }, () =>
      renewedFile({ path, clock, parse }),
    )
  const isSecure = (origin: string) => origin.startsWith('https:')
  const { kubernetesUrl, VAULT_ADDR: vaultUrl, VAULT_CACERT: vaultCaFile } = config
  const { KEYHOLE_KUBERNETES_CACERT: kubernetesCaFile, KEYHOLE_POLICY_DIR: policyDirectory } = config
  const [kubernetesToken, kubernetesCa, vaultJwt, vaultCa] = await Promise.all([
    when('KEYHOLE_KUBERNETES_TOKEN_FILE', config.KEYHOLE_KUBERNETES_TOKEN_FILE, parseToken),
    isSecure(kubernetesUrl) ? when('KEYHOLE_KUBERNETES_CACERT', kubernetesCaFile, parseCa) : undefined,
    when('KEYHOLE_VAULT_TOKEN_FILE', config.KEYHOLE_VAULT_TOKEN_FILE, parseToken),
    isSecure(vaultUrl) && vaultCaFile !== undefined ? when('VAULT_CACERT', vaultCaFile, parseCa) : undefined,
    waiting.until({ setting: 'KEYHOLE_POLICY_DIR', problem: PolicyDirectoryError }, () =>
      requirePolicyDirectory(policyDirectory),
    ),
  ])
  return { kubernetesToken, kubernetesCa, vaultJwt, vaultCa }
}

/** The two clients, each with its own pool, its own credentials and its own place in metrics and health. */
function upstreams(
  config: Config,
  { kubernetesToken, kubernetesCa, vaultJwt, vaultCa }: OwnFiles,
  { clock, log, decorate = (send) => send }: Surroundings,
  metrics: Metrics,
  health: Health,
) {
  const outcomes: LastOutcome[] = []
  function sender(upstream: 'kubernetes' | 'vault', origin: string, ca: Renewed<string> | undefined): Sender {
    const last = lastOutcome(upstream, ({ ok, state }, outcome) => {
      if (ok) log.info('upstream answers', { upstream })
      else log.warn('upstream fails', { upstream, state, fix: outcomeFix(upstream, outcome) })
    })
    health.watch(last.component)
    outcomes.push(last)
    const { send, close } = openSend({
      origin,
      ...(ca !== undefined && { ca: ca.current }),
      connections: config.KEYHOLE_UPSTREAM_CONNECTIONS,
      maxBodyBytes: config.KEYHOLE_UPSTREAM_MAX_BYTES,
      callTimeoutMs: config.KEYHOLE_UPSTREAM_TIMEOUT_MS,
      clock,
    })
    const observe = ({ outcome, durationMs }: { outcome: number | string; durationMs: number }) => {
      // A caller that left says nothing about the upstream.
      if (outcome !== 'aborted') last.told(String(outcome))
      metrics.asked(upstream, String(outcome), durationMs)
    }
    return { send: decorate(observed(send, { upstream, clock, observe })), close }
  }

  const kubernetesSender = sender('kubernetes', config.kubernetesUrl, kubernetesCa)
  const vaultSender = sender('vault', config.VAULT_ADDR, vaultCa)
  const vaultOptions = {
    send: vaultSender.send,
    ...(config.VAULT_NAMESPACE !== undefined && { namespace: config.VAULT_NAMESPACE }),
  }
  const client = openVault(vaultOptions)
  return {
    kubernetes: openKubernetes({ send: kubernetesSender.send, token: kubernetesToken }),
    rotation: openVaultRotation(vaultOptions),
    /** Of some upstream, no certificate was ever trusted. */
    untrusted: () => outcomes.some((last) => last.component().required),
    vault: {
      health: (signal: AbortSignal) => vaultHealth(vaultSender.send, signal),
      decrypt: client.decrypt,
      async login(role: string, signal: AbortSignal) {
        const login = (jwt: Token) => client.login({ mount: config.KEYHOLE_VAULT_AUTH_MOUNT, role, jwt }, signal)
        const shown = vaultJwt.current()
        try {
          return await login(shown)
        } catch (error) {
          // The token in hand may have ended while the file holds its successor.
          const renewed = isForbidden(error) ? vaultJwt.again() : shown
          if (renewed === shown) throw error
          return await login(renewed)
        }
      },
    },
    senders: [kubernetesSender, vaultSender],
  }
}

function isForbidden(error: unknown): boolean {
  return error instanceof UpstreamError && error.kind === 'forbidden'
}

function sinkOf({ KEYHOLE_AUDIT: audit }: Config, stdout: Writable): Sink {
  return audit === 'stdout' ? stdoutSink(stdout) : fileSink(audit.slice('file:'.length))
}

/** Tells when the sink begins to fail, with the errno that no refusal has, and when it is mended. Not of a start: that fails with it. */
function told(sink: Sink, log: Log, isStarted: () => boolean): Sink {
  let failing = false
  async function tell<T>(act: () => Promise<T>): Promise<T> {
    try {
      const result = await act()
      if (failing) log.info('audit sink works again')
      failing = false
      return result
    } catch (error) {
      const code = error instanceof SinkError ? error.code : 'unknown'
      if (!failing && isStarted()) log.error('audit sink fails: nothing is disclosed until it works', { code })
      failing = isStarted()
      throw error
    }
  }
  return { ...sink, begin: () => tell(sink.begin), write: (bytes) => tell(() => sink.write(bytes)) }
}

/** Counts writes, and what stands before them. One that never comes back is in no count: its records are refused, and counted there. */
function counted(sink: Sink, metrics: Metrics): Sink {
  const count = metrics.counter('keyhole_audit_writes_total', 'Writes to the audit sink, by outcome.', 'outcome', [
    'written',
    'failed',
  ])
  async function failing<T>(act: () => Promise<T>): Promise<T> {
    try {
      return await act()
    } catch (error) {
      count('failed')
      throw error
    }
  }
  return {
    ...sink,
    begin: () => failing(sink.begin),
    async write(bytes) {
      await failing(() => sink.write(bytes))
      count('written')
    },
  }
}

function servesOf({ serves }: Config): readonly ('read' | 'rotate')[] {
  return (['read', 'rotate'] as const).filter((what) => serves[what])
}

/** As routes/ registers them. */
function routesOf({ serves }: Config): readonly string[] {
  return [...(serves.read ? ['/secrets', '/secrets/:name'] : []), ...(serves.rotate ? ['/rotate'] : [])]
}

/** A reply in base64 is a third longer than what it holds. */
function replyBounds(config: Config) {
  return {
    maxBytes: Math.ceil((config.KEYHOLE_UPSTREAM_MAX_BYTES * 4) / 3) + REPLY_OVERHEAD_BYTES,
    maxDepth: config.KEYHOLE_MAX_DICTIONARY_DEPTH + 1,
  }
}

interface Told {
  readonly log: Log
  readonly clock: Clock
  readonly audit: AuditLog | undefined
  readonly checkKeys: () => Promise<void>
}

function policyChanged(change: PolicyChange, { log, clock, audit, checkKeys }: Told): void {
  const { from, to, added, changed, removed, problems } = change
  log.info('policy changed', { from, to, added, changed, removed })
  // A record that cannot be written makes the log unhealthy, and with it keyhole: nothing more to do here.
  audit
    ?.append({
      kind: 'policy',
      timeMs: clock.now(),
      from,
      to,
      documents: [...added, ...changed, ...removed],
      problems: problems.length,
    })
    .catch((error: unknown) => log.error('the policy change has no audit record', describeCause(error)))
  void checkKeys()
}

interface OwnState {
  readonly health: Health
  readonly metrics: Metrics
  readonly audit: AuditLog
  readonly policy: PolicySource
  readonly keys: TransitKeys
  readonly requests: Turnstile
  readonly reviews: Turnstile
}

function showOwnState({ health, metrics, audit, policy, keys, requests, reviews }: OwnState): void {
  const usable = () => [...keys.conditions().values()].filter((condition) => condition === 'derived').length
  health.watch(() => ({ name: 'audit', ok: audit.healthy(), state: audit.healthy() ? 'ok' : 'failed', required: true }))
  health.watch(() => ({
    name: 'policy',
    ok: policy.problems().length === 0,
    state: `${policy.current().hash}, ${policy.current().grants.size} grants, ${policy.problems().length} problems`,
    required: false,
  }))
  health.watch(() => ({
    name: 'transit-keys',
    ok: usable() === keys.conditions().size,
    state: `${usable()} of ${keys.conditions().size} proven`,
    required: false,
  }))
  metrics.gauge('keyhole_audit_healthy', '1 while audit records can be written.', () => Number(audit.healthy()))
  metrics.gauge('keyhole_policy_grants', 'SecretGrants in force.', () => policy.current().grants.size)
  metrics.gauge('keyhole_policy_problems', 'Problems of the policy directory.', () => policy.problems().length)
  metrics.gauge(
    'keyhole_policy_documents_kept',
    'Documents whose last good version is in force, because what is written now is not good.',
    () => policy.refused().kept,
  )
  metrics.gauge(
    'keyhole_policy_documents_denied',
    'Documents that are not good and of which no good version is known: what they grant is denied.',
    () => policy.refused().denied,
  )
  metrics.gauge(
    'keyhole_policy_hash',
    'The first 48 bits of the hash of the policy in force, to compare replicas.',
    () => Number.parseInt(policy.current().hash.slice('sha256:'.length, 'sha256:'.length + 12), 16),
  )
  metrics.gauge('keyhole_transit_keys_proven', 'Transit keys that are known to be derived.', usable)
  metrics.gauge(
    'keyhole_transit_keys_unusable',
    'Transit keys that are known not to be usable.',
    () => keys.conditions().size - usable(),
  )
  metrics.gauge('keyhole_requests_in_flight', 'Requests that hold a place.', requests.inside)
  metrics.gauge('keyhole_requests_waiting', 'Requests that wait for a place.', requests.waiting)
  metrics.gauge('keyhole_reviews_in_flight', 'Token reviews in flight.', reviews.inside)
}
