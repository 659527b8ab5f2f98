/** Whom keyhole trusts, and what it shows to those who are to trust it. */
import { X509Certificate } from 'node:crypto'
import { FILE_FIXES } from '../starting.ts'
import { listed } from '../words.ts'
import type { Checking, CheckName, Finding } from './finding.ts'
import { counted, ok, toFix } from './finding.ts'
import type { CheckParts } from './ports.ts'
import { unlessMissing } from './tokens.ts'

export interface Trusted {
  readonly kubernetes: Ca | undefined
  readonly vault: Ca | undefined
}

/** PEM; undefined within: the system's own. */
export interface Ca {
  readonly pem: string | undefined
}

export async function* certificates({ files, clock }: CheckParts): Checking<Trusted> {
  const kubernetes = yield* ca('kubernetes-ca', files.kubernetesCa, clock.now(), FILE_FIXES.KEYHOLE_KUBERNETES_CACERT)
  const vault = yield* ca('vault-ca', files.vaultCa, clock.now(), FILE_FIXES.VAULT_CACERT)
  return { kubernetes, vault }
}

async function* ca(
  check: CheckName,
  file: () => Promise<string | undefined>,
  nowMs: number,
  fix: string,
): Checking<Ca | undefined> {
  const read = yield* unlessMissing(check, file, fix)
  if (read === undefined) return undefined
  const pem = read.found
  yield pem === undefined
    ? ok(check, "none is named: the system's own CAs are trusted")
    : caFinding(check, pem, nowMs, fix)
  return { pem }
}

function caFinding(check: CheckName, pem: string, nowMs: number, fix: string): Finding {
  const found = certificatesIn(pem)
  const current = found.filter((one) => one.validToDate.getTime() > nowMs)
  if (current.length === 0) return toFix(check, 'every certificate in it has expired', fix)
  const soonest = Math.min(...current.map((one) => one.validToDate.getTime()))
  return ok(check, `${counted(current.length, 'certificate')}, ${daysText(soonest - nowMs)} left`)
}

const DAY_MS = 86_400_000
/** Whoever renews certificates has done so by then: with a week left, or of a short life a sixth. */
function renewedBefore({ validFromDate, validToDate }: X509Certificate): number {
  return Math.min(7 * DAY_MS, (validToDate.getTime() - validFromDate.getTime()) / 6)
}

export async function* serving({ config, files, clock }: CheckParts): Checking {
  const check = 'serving-certificate'
  if (config.tls === undefined) {
    const why = config.KEYHOLE_PLAIN_HTTP === undefined ? 'on loopback' : 'as KEYHOLE_PLAIN_HTTP allows'
    return yield ok(check, `plain HTTP is served, ${why}: tokens and secrets are sent in the clear`)
  }
  const fix = FILE_FIXES.KEYHOLE_TLS_CERT_FILE
  const read = yield* unlessMissing(check, files.certificate, fix)
  if (read?.found === undefined) return
  const certificate = new X509Certificate(read.found)
  const leftMs = certificate.validToDate.getTime() - clock.now()
  const told = `${namesOf(certificate)}; ${daysText(leftMs)} left`
  if (leftMs > renewedBefore(certificate)) yield ok(check, told)
  else yield toFix(check, told, 'see why whoever issues it has not renewed it: kubectl describe the Certificate')
}

function namesOf({ subjectAltName = '' }: X509Certificate): string {
  const names = subjectAltName.split(', ').map((name) => name.replace(/^(?:DNS|IP Address):/, ''))
  return subjectAltName === '' ? 'no names' : listed(names)
}

function daysText(ms: number): string {
  return ms < DAY_MS ? `${Math.floor(ms / 3_600_000)} h` : `${Math.floor(ms / DAY_MS)} d`
}

function certificatesIn(pem: string): readonly X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? []
  return blocks.map((block) => new X509Certificate(block))
}
