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

/** @throws Error that names the file and what is wrong with it. */
export async function readTlsPair({ certFile, keyFile }: TlsFiles): Promise<TlsPair> {
  const [cert, key] = await Promise.all([readPem(certFile), readPem(keyFile)])
  let certificate: X509Certificate
  try {
    certificate = new X509Certificate(cert)
  } catch {
    throw new Error(`${certFile} does not hold a PEM certificate`)
  }
  try {
    if (!certificate.checkPrivateKey(createPrivateKey(key))) throw new Error('another key')
  } catch {
    throw new Error(`${keyFile} does not hold the private key of ${certFile}`)
  }
  return { cert, key, expiresAt: certificate.validToDate.getTime() }
}

async function readPem(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch {
    throw new Error(`${file} cannot be read`)
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
  let current = options.initial
  async function check(): Promise<void> {
    try {
      const pair = await readTlsPair(options.files)
      if (pair.cert === current.cert && pair.key === current.key) return
      options.server.setSecureContext({ cert: pair.cert, key: pair.key, minVersion: options.minVersion })
      current = pair
      options.renewed(pair)
    } catch (error) {
      options.failed(error instanceof Error ? error.message : 'unreadable')
    }
  }
  const stop = every(options.clock, options.everyMs, () => void check())
  return { expiresAt: () => current.expiresAt, check, stop }
}
