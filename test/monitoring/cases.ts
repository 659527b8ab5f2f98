/**
 * Stories about every alert: at least one in which it fires, at the minute at which it does, and what comes near to it and is no
 * reason: a pod that restarts, one replica of several, one caller, a rollout.
 */
import type { AlertCase } from './case.ts'

const OK = 'keyhole_replies_total{route="/secrets/:name",status="200"}'
const FAILED = 'keyhole_replies_total{route="/secrets/:name",status="503"}'
const FAILING_CALL = 'keyhole_upstream_calls_total{upstream="vault",outcome="503"}'
const GOOD_CALL = 'keyhole_upstream_calls_total{upstream="vault",outcome="200"}'
const REFUSED = 'keyhole_refusals_total{code="NOT_GRANTED"}'
const CERTIFICATE = 'keyhole_certificate_expiry_timestamp_seconds'

const ready = (serves: string, pod = 'a') => `keyhole_ready{serves="${serves}",pod="${pod}"}`
const of = (name: string, pod: string) => `${name}{pod="${pod}"}`
/** As `increase` sees it: so many at once in the minute after so many minutes of nothing. */
const burst = (quietMinutes: number, count: number) => `0x${quietMinutes} ${count}x200`

/** Reads of one pod by how long they took, so many a minute: at most 10 ms, at most a second, more. */
function durations(
  { fast = 0, middling = 0, slow = 0 }: { readonly fast?: number; readonly middling?: number; readonly slow?: number },
  { pod = 'a', route = '/secrets/:name' } = {},
): Readonly<Record<string, string>> {
  const labels = `route="${route}",pod="${pod}"`
  const bucket = (le: string) => `keyhole_reply_duration_seconds_bucket{${labels},le="${le}"}`
  const all = `0+${fast + middling + slow}x120`
  return {
    [bucket('0.01')]: `0+${fast}x120`,
    [bucket('0.5')]: `0+${fast}x120`,
    [bucket('1')]: `0+${fast + middling}x120`,
    [bucket('2.5')]: all,
    [bucket('+Inf')]: all,
    [`keyhole_reply_duration_seconds_count{${labels}}`]: all,
  }
}

const SERVING: readonly AlertCase[] = [
  {
    alert: 'KeyholeDown',
    title: 'fires five minutes after the last reader stops being ready',
    series: { [ready('read', 'a')]: '1x10 0x60', [ready('read', 'b')]: '1x8 0x60' },
    fires: 16,
  },
  {
    alert: 'KeyholeDown',
    title: 'fires when the last reader is gone, and ends when one is back',
    series: { [ready('read')]: '1x10 stale _x20 1x30' },
    fires: 16,
    ends: 32,
  },
  { alert: 'KeyholeDown', title: 'fires when nothing was ever scraped', series: {}, fires: 5 },
  {
    alert: 'KeyholeDown',
    title: 'fires when only rotators are ready',
    series: { [ready('rotate')]: '1x60' },
    fires: 5,
  },
  {
    alert: 'KeyholeDown',
    title: 'stays still while one replica of three is ready',
    series: { [ready('read', 'a')]: '1x120', [ready('read', 'b')]: '1x10 0x110', [ready('read', 'c')]: '1x10 stale' },
  },
  {
    alert: 'KeyholeDown',
    title: 'stays still while a rollout puts one pod in the place of another',
    series: { [ready('read', 'a')]: '1x30 0x1 stale', [ready('read', 'b')]: '_x28 0x1 1x120' },
  },
  {
    alert: 'KeyholeDown',
    title: 'stays still when all are away for four minutes',
    series: { [ready('read')]: '1x30 0x3 1x120' },
  },
  {
    alert: 'KeyholeRotatorDown',
    title: 'fires half an hour after the last rotator',
    series: { [ready('rotate')]: '1x10 stale', [ready('read')]: '1x120' },
    fires: 41,
  },
  {
    alert: 'KeyholeRotatorDown',
    title: 'stays still while a process that serves both is ready',
    series: { [ready('rotate')]: '1x120', [ready('read')]: '1x120' },
  },
  {
    alert: 'KeyholeRotatorDown',
    title: 'stays still when rotators are away for twenty minutes',
    series: { [ready('rotate')]: '1x30 0x20 1x120' },
  },
  {
    alert: 'KeyholeErrorBudgetBurning',
    of: { severity: 'critical' },
    title: 'fires when one read in twenty fails, and ends soon after that ends',
    series: { [OK]: '0+60x300', [FAILED]: '0x60 0+3x60 180x120' },
    fires: 81,
    ends: 125,
  },
  {
    alert: 'KeyholeErrorBudgetBurning',
    of: { severity: 'critical' },
    title: 'stays still when errors are many of few reads',
    series: { [OK]: '0x300', [FAILED]: '0x60 0+1x8 8x200' },
    minutes: 200,
  },
  {
    alert: 'KeyholeErrorBudgetBurning',
    of: { severity: 'critical' },
    title: 'stays still when rotations end incomplete, which is a 500',
    series: { [OK]: '0+60x200', 'keyhole_replies_total{route="/rotate",status="500"}': '0x60 0+3x60' },
  },
  {
    alert: 'KeyholeErrorBudgetBurning',
    of: { severity: 'critical' },
    title: 'stays still when a pod with old errors restarts',
    series: { [OK]: '90000+60x60 0+60x120', [FAILED]: '900x60 0x120' },
  },
  {
    alert: 'KeyholeErrorBudgetBurning',
    of: { severity: 'critical' },
    title: 'stays still when a caller is refused',
    series: { [OK]: '0+60x200', 'keyhole_replies_total{route="/secrets/:name",status="403"}': '0x30 0+10x120' },
  },
  {
    alert: 'KeyholeErrorBudgetBurning',
    of: { severity: 'warning' },
    title: 'fires when one read in eighty fails for hours',
    series: { [OK]: '0+79x800', [FAILED]: '0x360 0+1x400' },
    fires: 548,
  },
  {
    alert: 'KeyholeErrorBudgetBurning',
    of: { severity: 'critical' },
    title: 'leaves one read in eighty to the slow rule',
    series: { [OK]: '0+79x800', [FAILED]: '0x360 0+1x400' },
    minutes: 700,
  },
  {
    alert: 'KeyholeErrorBudgetBurning',
    of: { severity: 'warning' },
    title: 'stays still when one read in five hundred fails',
    series: { [OK]: '0+499x800', [FAILED]: '0+1x800' },
    minutes: 700,
  },
  {
    alert: 'KeyholeErrorBudgetBurning',
    of: { severity: 'critical' },
    title: 'fires on a dozen errors, where reads are few',
    series: { [OK]: '0+1x300', [FAILED]: '0x60 0+1x14 14x200' },
    fires: 74,
  },
  {
    alert: 'KeyholeErrorBudgetBurning',
    of: { severity: 'warning' },
    title: 'ends half an hour after the errors do',
    series: { [OK]: '0+79x800', [FAILED]: '0x360 0+1x200 200x300' },
    fires: 548,
    ends: 577,
  },
  {
    alert: 'KeyholeErrorBudgetBurning',
    of: { severity: 'warning' },
    title: 'fires on a dozen errors, where reads are few',
    series: { [OK]: '0+1x300', [FAILED]: '0x60 0+1x14 14x200' },
    fires: 87,
  },
  {
    alert: 'KeyholeErrorBudgetBurning',
    of: { severity: 'warning' },
    title: 'stays still when errors are many of few reads, and when rotations end incomplete',
    series: {
      [OK]: '0x300',
      [FAILED]: '0x60 0+1x8 8x200',
      'keyhole_replies_total{route="/rotate",status="500"}': '0x60 0+3x60',
    },
    minutes: 200,
  },
  {
    alert: 'KeyholeSlow',
    title: 'fires when one read in twenty takes over a second, all of them at one pod',
    series: { ...durations({ fast: 19 }, { pod: 'a' }), ...durations({ slow: 1 }, { pod: 'b' }) },
    fires: 18,
  },
  {
    alert: 'KeyholeSlow',
    title: 'stays still when one in two hundred does',
    series: durations({ fast: 199, slow: 1 }),
  },
  { alert: 'KeyholeSlow', title: 'stays still when all take most of a second', series: durations({ middling: 20 }) },
  { alert: 'KeyholeSlow', title: 'stays still when reads are few', series: durations({ fast: 2, slow: 1 }) },
  {
    alert: 'KeyholeSlow',
    title: 'stays still when rotations are slow',
    series: durations({ slow: 20 }, { route: '/rotate' }),
  },
  {
    alert: 'KeyholeUpstreamFailing',
    of: { upstream: 'vault' },
    title: 'fires when Vault is sealed, also where the first failure is the first ever',
    series: { [GOOD_CALL]: '0+100x20 2000x100', [FAILING_CALL]: '0x20 0+20x100' },
    fires: 28,
  },
  {
    alert: 'KeyholeUpstreamFailing',
    of: { upstream: 'kubernetes' },
    title: 'fires when connections are refused, at all replicas together',
    series: {
      'keyhole_upstream_calls_total{upstream="kubernetes",outcome="refused",pod="a"}': '0x20 0+3x100',
      'keyhole_upstream_calls_total{upstream="kubernetes",outcome="refused",pod="b"}': '0x20 0+3x100',
      'keyhole_upstream_calls_total{upstream="kubernetes",outcome="201",pod="a"}': '0+30x120',
    },
    fires: 29,
  },
  {
    alert: 'KeyholeUpstreamFailing',
    of: { upstream: 'kubernetes' },
    title: "fires when keyhole's own token is refused",
    series: { 'keyhole_upstream_calls_total{upstream="kubernetes",outcome="401"}': '0x20 0+10x100' },
    fires: 27,
  },
  {
    alert: 'KeyholeUpstreamFailing',
    title: 'is told of the upstream that fails, not of the other',
    of: { upstream: 'kubernetes' },
    series: {
      [GOOD_CALL]: '0+10x120',
      [FAILING_CALL]: '0+20x120',
      'keyhole_upstream_calls_total{upstream="kubernetes",outcome="200"}': '0+30x120',
    },
  },
  {
    alert: 'KeyholeUpstreamFailing',
    title: 'stays still when callers leave',
    series: { [GOOD_CALL]: '0+10x120', 'keyhole_upstream_calls_total{upstream="vault",outcome="aborted"}': '0+20x120' },
  },
  {
    alert: 'KeyholeUpstreamFailing',
    of: { upstream: 'vault' },
    title: 'fires also while many callers leave, as they do when they get no answer',
    series: {
      'keyhole_upstream_calls_total{upstream="vault",outcome="aborted"}': '0+200x120',
      [FAILING_CALL]: '0x20 0+10x100',
    },
    fires: 27,
  },
  {
    alert: 'KeyholeUpstreamFailing',
    title: 'stays still when Secrets are missing, or ciphertext is refused',
    series: {
      'keyhole_upstream_calls_total{upstream="kubernetes",outcome="404"}': '0+20x120',
      'keyhole_upstream_calls_total{upstream="vault",outcome="400"}': '0+20x120',
    },
  },
  {
    alert: 'KeyholeUpstreamFailing',
    title: 'stays still when an upstream is away for a minute',
    series: { [GOOD_CALL]: '0+30x60', [FAILING_CALL]: burst(20, 30) },
  },
  {
    alert: 'KeyholeUpstreamFailing',
    title: 'stays still when one call of twenty fails, and when one a minute does',
    series: {
      [GOOD_CALL]: '0+190x120',
      [FAILING_CALL]: '0+10x120',
      'keyhole_upstream_calls_total{upstream="kubernetes",outcome="timeout"}': '0+1x120',
    },
  },
  {
    alert: 'KeyholeUpstreamFailing',
    title: 'stays still when a pod with old failures restarts',
    series: { [GOOD_CALL]: '9000+10x30 0+10x90', [FAILING_CALL]: '5000x30 0x90' },
  },
  {
    alert: 'KeyholeCertificateExpiring',
    of: { severity: 'warning' },
    title: 'fires an hour after there are less than seven days left, of the replica that did not renew it',
    series: { [of(CERTIFICATE, 'a')]: `${7 * 86_400 + 1_800}x200`, [of(CERTIFICATE, 'b')]: `${90 * 86_400}x200` },
    fires: 91,
  },
  {
    alert: 'KeyholeCertificateExpiring',
    of: { severity: 'warning' },
    title: 'stays still when it is renewed in time',
    series: { [CERTIFICATE]: `${7 * 86_400 + 1_800}x60 ${90 * 86_400}x200` },
    minutes: 200,
  },
  {
    alert: 'KeyholeCertificateExpiring',
    of: { severity: 'critical' },
    title: 'fires once less than a day is left, of one replica',
    series: { [of(CERTIFICATE, 'a')]: `${86_400 + 600}x60`, [of(CERTIFICATE, 'b')]: `${90 * 86_400}x60` },
    fires: 16,
  },
  {
    alert: 'KeyholeCertificateExpiring',
    of: { severity: 'critical' },
    title: 'stays still with two days left',
    series: { [CERTIFICATE]: `${2 * 86_400 + 7_200}x120` },
  },
  {
    alert: 'KeyholeCertificateExpiring',
    title: 'stays still where keyhole serves without TLS',
    series: { [ready('read')]: '1x120' },
  },
]

const SECURITY: readonly AlertCase[] = [
  {
    alert: 'KeyholeAuditFailing',
    title: 'fires when one replica cannot write',
    series: { [of('keyhole_audit_healthy', 'a')]: '1x120', [of('keyhole_audit_healthy', 'b')]: '1x10 0x60' },
    fires: 13,
  },
  {
    alert: 'KeyholeAuditFailing',
    title: 'fires when a replica refuses requests for it between two looks',
    series: {
      keyhole_audit_healthy: '1x120',
      'keyhole_refusals_total{code="AUDIT_UNAVAILABLE",pod="a"}': '0x20 0+3x60',
      'keyhole_refusals_total{code="AUDIT_UNAVAILABLE",pod="b"}': '0x120',
    },
    fires: 25,
  },
  {
    alert: 'KeyholeAuditFailing',
    title: 'stays still when it works again after a minute',
    series: {
      keyhole_audit_healthy: '1x10 0x1 1x120',
      'keyhole_refusals_total{code="AUDIT_UNAVAILABLE"}': burst(10, 3),
    },
  },
  {
    alert: 'KeyholeAuditFailing',
    title: 'stays still when a request is refused for it now and then',
    series: {
      keyhole_audit_healthy: '1x120',
      'keyhole_refusals_total{code="AUDIT_UNAVAILABLE"}': '0x4 1x4 2x4 3x4 4x4 5x4 6x4 7x4 8x4 9x4 10x4 11x60',
    },
  },
  {
    alert: 'KeyholeAuditFailing',
    title: 'stays still when a pod restarts',
    series: { keyhole_audit_healthy: '1x10 stale _x2 1x120' },
  },
  {
    alert: 'KeyholeRefusedSpike',
    title: 'fires when many are refused, of whatever code',
    series: {
      [OK]: '0+3x120',
      'keyhole_replies_total{route="/secrets/:name",status="403"}': '0x30 0+4x90',
      [REFUSED]: '0x30 0+2x90',
      'keyhole_refusals_total{code="TOKEN_REJECTED"}': '0x30 0+2x90',
    },
    fires: 44,
  },
  {
    alert: 'KeyholeRefusedSpike',
    title: 'stays still when one pod is refused, again and again, by its crash loop',
    series: {
      [OK]: '0+1x120',
      'keyhole_replies_total{route="/secrets/:name",status="403"}': '0 1 2 3 3 3 4 4 4 4 5 5 5 5 5 6x120',
      [REFUSED]: '0 1 2 3 3 3 4 4 4 4 5 5 5 5 5 6x120',
    },
  },
  {
    alert: 'KeyholeRefusedSpike',
    title: 'stays still when one caller of a busy keyhole is refused, three requests of twenty',
    series: {
      [OK]: '0+170x120',
      'keyhole_replies_total{route="/secrets/:name",status="403"}': '0+30x120',
      [REFUSED]: '0+30x120',
    },
  },
  {
    alert: 'KeyholeRefusedSpike',
    title: 'stays still when Secrets are missing',
    series: {
      'keyhole_replies_total{route="/secrets/:name",status="404"}': '0+20x120',
      'keyhole_refusals_total{code="SECRET_MISSING"}': '0+20x120',
    },
  },
  {
    alert: 'KeyholeRefusedSpike',
    title: 'stays still when a pod that refused much restarts',
    series: { [OK]: '0+1x120', [REFUSED]: '40000x60 0x60' },
  },
  {
    alert: 'KeyholePolicyProblem',
    title: 'fires when a problem stands for a quarter of an hour',
    series: { [of('keyhole_policy_problems', 'a')]: '0x120', [of('keyhole_policy_problems', 'b')]: '0x10 1x60' },
    fires: 26,
  },
  {
    alert: 'KeyholePolicyProblem',
    title: 'stays still when it is mended in ten minutes',
    series: { keyhole_policy_problems: '0x10 3x10 0x60' },
  },
  {
    alert: 'KeyholePolicyEmpty',
    title: 'fires when one replica has no grant',
    series: { [of('keyhole_policy_grants', 'a')]: '12x120', [of('keyhole_policy_grants', 'b')]: '12x10 0x60' },
    fires: 16,
  },
  {
    alert: 'KeyholePolicyEmpty',
    title: 'stays still when a few grants are left, and when they are back in three minutes',
    series: {
      [of('keyhole_policy_grants', 'a')]: '12x10 1x120',
      [of('keyhole_policy_grants', 'b')]: '12x10 0x3 12x120',
    },
  },
  {
    alert: 'KeyholePolicyDiffers',
    title: 'fires when one replica of three has another policy',
    series: {
      [of('keyhole_policy_hash', 'a')]: '7x10 8x120',
      [of('keyhole_policy_hash', 'b')]: '7x120',
      [of('keyhole_policy_hash', 'c')]: '7x10 8x120',
    },
    fires: 26,
  },
  {
    alert: 'KeyholePolicyDiffers',
    title: 'stays still while a change comes to one replica after the other',
    series: { [of('keyhole_policy_hash', 'a')]: '7x10 8x120', [of('keyhole_policy_hash', 'b')]: '7x12 8x120' },
  },
  {
    alert: 'KeyholePolicyDiffers',
    title: 'stays still about a pod that is gone, and where two installations differ',
    series: {
      [of('keyhole_policy_hash', 'a')]: '7x10 stale',
      [of('keyhole_policy_hash', 'b')]: '7x10 8x120',
      'keyhole_policy_hash{pod="c",namespace="other"}': '9x120',
    },
  },
]

const ROTATION: readonly AlertCase[] = [
  {
    alert: 'KeyholeKeyUnusable',
    of: { serves: 'read' },
    title: 'fires when one replica finds a key unusable',
    series: {
      [of('keyhole_transit_keys_unusable', 'a')]: '0x120',
      [of('keyhole_transit_keys_unusable', 'b')]: '0x10 1x60',
    },
    fires: 26,
  },
  {
    alert: 'KeyholeKeyUnusable',
    of: { serves: 'read' },
    title: 'stays still when a key is mended at once',
    series: { keyhole_transit_keys_unusable: '0x10 1x10 0x60' },
  },
  {
    alert: 'KeyholeKeyUnusable',
    of: { serves: 'rotate' },
    title: 'fires when a key cannot be read at two looks',
    series: {
      [of('keyhole_transit_key_unreadable', 'a')]: '0x10 1x180',
      [of('keyhole_transit_key_unreadable', 'b')]: '0x180',
    },
    fires: 131,
  },
  {
    alert: 'KeyholeKeyUnusable',
    of: { serves: 'rotate' },
    title: 'stays still when Vault was away at one look',
    series: { keyhole_transit_key_unreadable: '0x10 1x60 0x120' },
    minutes: 180,
  },
  {
    alert: 'KeyholeRotationOverdue',
    title: 'fires when a key is older than forty days',
    series: {
      [of('keyhole_transit_key_age_seconds', 'a')]: `${40 * 86_400 - 600}+60x200`,
      [of('keyhole_transit_key_age_seconds', 'b')]: '0x200',
    },
    fires: 131,
  },
  {
    alert: 'KeyholeRotationOverdue',
    title: 'fires for the one key that is, where keys have names',
    of: { transit_key: 'payments' },
    series: {
      'keyhole_transit_key_age_seconds{transit_key="payments"}': `${41 * 86_400}+60x200`,
      'keyhole_transit_key_age_seconds{transit_key="orders"}': `${20 * 86_400}+60x200`,
    },
    fires: 120,
  },
  {
    alert: 'KeyholeRotationOverdue',
    title: 'stays still at the end of a month, and while nothing is known',
    series: {
      [of('keyhole_transit_key_age_seconds', 'a')]: `${31 * 86_400}+60x200`,
      [of('keyhole_transit_key_age_seconds', 'b')]: '0x200',
    },
    minutes: 200,
  },
  {
    alert: 'KeyholeRotationOverdue',
    title: 'stays still when a late rotation comes, and another replica sees it an hour later',
    series: {
      [of('keyhole_transit_key_age_seconds', 'a')]: `${40 * 86_400 - 600}+60x30 0+60x200`,
      [of('keyhole_transit_key_age_seconds', 'b')]: `${40 * 86_400 - 600}+60x90 3600+60x200`,
    },
    minutes: 240,
  },
  {
    alert: 'KeyholeOldVersionsInUse',
    title: 'fires six hours after Secrets fell behind and stayed there',
    series: {
      [of('keyhole_transit_secrets_behind', 'a')]: '0x10 3x500',
      [of('keyhole_transit_secrets_behind', 'b')]: '0x500',
    },
    fires: 371,
  },
  {
    alert: 'KeyholeOldVersionsInUse',
    title: 'stays still during a rotation, and while another replica has the old state',
    series: {
      [of('keyhole_transit_secrets_behind', 'a')]: '0x10 800x15 0x500',
      [of('keyhole_transit_secrets_behind', 'b')]: '0x20 400x60 0x500',
    },
    minutes: 500,
  },
  {
    alert: 'KeyholeSecretsBlocked',
    title: 'fires when a Secret is blocked at two looks',
    series: {
      [of('keyhole_transit_secrets_blocked', 'a')]: '0x10 1x200',
      [of('keyhole_transit_secrets_blocked', 'b')]: '0x200',
    },
    fires: 131,
  },
  {
    alert: 'KeyholeSecretsBlocked',
    title: 'stays still when a Secret was away at one look',
    series: { keyhole_transit_secrets_blocked: '0x10 1x60 0x200' },
    minutes: 240,
  },
  {
    alert: 'KeyholeSecretsBlocked',
    title: 'stays still where nothing rotates, and nothing is known',
    series: { [ready('read')]: '1x200' },
    minutes: 200,
  },
  {
    alert: 'KeyholeSurveyStale',
    title: 'fires three and a half hours after the last look of one rotator, though another looks',
    // Time begins at 0: the one looks in every minute, the other did so for ten minutes.
    series: {
      [of('keyhole_survey_timestamp_seconds', 'a')]: '0+60x400',
      [of('keyhole_survey_timestamp_seconds', 'b')]: '0+60x10 600x400',
    },
    fires: 221,
  },
  {
    alert: 'KeyholeSurveyStale',
    title: 'stays still while each rotator looks once an hour, and for the first look of one that starts',
    series: {
      [of('keyhole_survey_timestamp_seconds', 'a')]: '0x59 3600x59 7200x59 10800x59 14400x59 18000x59',
      [of('keyhole_survey_timestamp_seconds', 'b')]: '_x200 0x20 13200x59 16800x59 20400x59',
    },
    minutes: 360,
  },
  {
    alert: 'KeyholeSurveyStale',
    title: 'stays still where nothing rotates',
    series: { [ready('read')]: '1x400' },
    minutes: 400,
  },
]

export const CASES: readonly AlertCase[] = [...SERVING, ...SECURITY, ...ROTATION]
