/**
 * The serving certificate, renewed without dropping a connection. Kubernetes renews a mounted Secret by pointing its
 * `..data` link at a new directory: reading through that link once per file could pair an old certificate with a new
 * key, so a pair that does not fit is left alone until it does.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { Server } from 'node:https'
import type { Clock } from '../clock.ts'
import { every } from '../clock.ts'

export interface TlsFiles {
  readonly certFile: string
  readonly keyFile: string
}

export interface TlsPair {
  readonly cert: string
  readonly key: string
  /** End of validity of the first certificate, ms since the epoch. */
  readonly expiresAt: number
}

/** Names the file and what is wrong with it, and nothing that it holds. */
export class TlsFileError extends Error {
  override readonly name = 'TlsFileError'
}

/** @throws TlsFileError for a pair that no client would accept: half there, not a pair, or not valid now. */
export async function readTlsPair({ certFile, keyFile }: TlsFiles, nowMs: number): Promise<TlsPair> {
  // One after the other: where both are missing, it is always the same that is told.
  const cert = await readPem(certFile)
  const key = await readPem(keyFile)
  const certificate = certificateIn(cert)
  if (certificate === undefined) throw new TlsFileError(`${certFile} does not hold a PEM certificate`)
  if (!isKeyOf(key, certificate)) throw new TlsFileError(`${keyFile} does not hold the private key of ${certFile}`)
  const { validFromDate: from, validToDate: to } = certificate
  if (nowMs > to.getTime()) throw new TlsFileError(`${certFile} has expired on ${to.toISOString()}`)
  if (nowMs < from.getTime()) throw new TlsFileError(`${certFile} is not valid before ${from.toISOString()}`)
  return { cert, key, expiresAt: to.getTime() }
}

async function readPem(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    throw new TlsFileError(`cannot read ${file}: ${(error as NodeJS.ErrnoException).code}`)
  }
}

/** The first one, which is the server's own. Those behind it are read too: OpenSSL would drop a chain at what it cannot read. */
function certificateIn(pem: string): X509Certificate | undefined {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[\s\S]*?(?:-----END CERTIFICATE-----|$)/g) ?? []
  try {
    return blocks.map((block) => new X509Certificate(block))[0]
  } catch {
    return undefined
  }
}

function isKeyOf(pem: string, certificate: X509Certificate): boolean {
  try {
    return certificate.checkPrivateKey(createPrivateKey(pem))
  } catch {
    return false
  }
}

export interface TlsRenewal {
  expiresAt(): number
  /** Looks now, rather than at the next turn. */
  check(): Promise<void>
  stop(): void
}

export interface TlsRenewalOptions {
  readonly files: TlsFiles
  readonly initial: TlsPair
  readonly server: Pick<Server, 'setSecureContext'>
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3'
  readonly clock: Clock
  readonly everyMs: number
  readonly renewed: (pair: TlsPair) => void
  readonly failed: (problem: string) => void
}

/** New connections get the new certificate; those that are open keep what they were opened with. */
export function renewTls(options: TlsRenewalOptions): TlsRenewal {
  const { files, server, minVersion, clock, everyMs, renewed, failed } = options
  let current = options.initial
  let told: string | undefined

  async function check(): Promise<void> {
    try {
      const pair = await readTlsPair(files, clock.now())
      told = undefined
      if (pair.cert === current.cert && pair.key === current.key) return
      server.setSecureContext({ cert: pair.cert, key: pair.key, minVersion })
      current = pair
      renewed(pair)
    } catch (error) {
      const problem = error instanceof TlsFileError ? error.message : 'OpenSSL does not accept the pair'
      // Once, not at every look: it may stand for days.
      if (problem !== told) failed(problem)
      told = problem
    }
  }

  const stop = every(clock, everyMs, () => void check())
  return { expiresAt: () => current.expiresAt, check, stop }
}
