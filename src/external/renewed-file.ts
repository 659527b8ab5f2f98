/**
 * A small file that somebody else renews while we run: the kubelet does so with projected tokens and CAs, by swapping
 * the `..data` link, so that a read sees the old content or the new, never half of one.
 */
import { X509Certificate } from 'node:crypto'
import { closeSync, openSync, readSync } from 'node:fs'
import type { Clock } from '../clock.ts'
import type { Token } from '../opaque.ts'
import { token } from '../opaque.ts'

export interface Renewed<T> {
  /** At most `maxAgeMs` old. */
  current(): T
  /** Read again now, whatever the age: for when the peer refused what it was shown. */
  again(): T
}

export interface RenewedFileOptions<T> {
  readonly path: string
  readonly clock: Clock
  /** Default 5,000. */
  readonly maxAgeMs?: number
  /** Throws for content that cannot be used; it is then treated as unreadable. Never quotes the content. */
  readonly parse: (text: string) => T
}

export class UnreadableFile extends Error {
  override readonly name = 'UnreadableFile'
  readonly path: string

  constructor(path: string, why: string) {
    super(`cannot use ${path}: ${why}`)
    this.path = path
  }
}

/**
 * Reads at once. Later a read that fails keeps the last good content: it is either still valid, or the peer says no.
 * @throws UnreadableFile when the first read fails.
 */
export function renewedFile<T>(options: RenewedFileOptions<T>): Renewed<T> {
  const { path, clock, maxAgeMs = 5_000, parse } = options
  let text = read(path)
  let value = parsed(path, text, parse)
  let readAt = clock.now()
  let askedAgainAt: number | undefined

  function again(): T {
    const now = clock.now()
    // A peer that refuses every call must not cost each of them a read.
    if (askedAgainAt !== undefined && now >= askedAgainAt && now < askedAgainAt + AGAIN_EVERY_MS) return value
    askedAgainAt = now
    return renew()
  }

  function renew(): T {
    readAt = clock.now()
    try {
      const found = read(path)
      if (found !== text) {
        value = parsed(path, found, parse)
        text = found
      }
    } catch (error) {
      if (!(error instanceof UnreadableFile)) throw error
    }
    return value
  }

  /** A clock that was set back must not keep what is old. */
  function isFresh(): boolean {
    const ageMs = clock.now() - readAt
    return ageMs >= 0 && ageMs < maxAgeMs
  }

  return { current: () => (isFresh() ? value : renew()), again }
}

const AGAIN_EVERY_MS = 1_000

const TOKEN = /^[\x21-\x7e]{1,16384}$/

/** keyhole's own bearer token. Anything that could end a header early is no token. */
export function parseToken(text: string): Token {
  const content = text.trim()
  if (!TOKEN.test(content)) throw new Error('it holds no token')
  return token(content)
}

/** Also one without an end, which is what a half-written file has. */
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[\s\S]*?(?:-----END CERTIFICATE-----|$)/g

/** PEM of one or more CAs. OpenSSL passes over what it cannot read, so each is read here: a CA that is half there is none. */
export function parseCa(text: string): string {
  const certificates = text.match(CERTIFICATE) ?? []
  if (certificates.length === 0 || !certificates.every(isCertificate)) throw new Error('it holds no certificate in PEM')
  return text
}

function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).subject !== undefined
  } catch {
    return false
  }
}

const MAX_BYTES = 1024 * 1024

/** Synchronous: the file is in memory (tmpfs), small, and read once in seconds, and so there is never a read to wait for. */
function read(path: string): string {
  let file: number
  try {
    file = openSync(path, 'r')
  } catch (error) {
    throw new UnreadableFile(path, codeOf(error))
  }
  const bytes = Buffer.allocUnsafeSlow(MAX_BYTES)
  try {
    let length = 0
    for (let got = -1; got !== 0 && length < MAX_BYTES; length += got)
      got = readSync(file, bytes, length, MAX_BYTES - length, null)
    if (length === MAX_BYTES) throw new UnreadableFile(path, 'larger than 1 MiB')
    return bytes.toString('utf8', 0, length)
  } catch (error) {
    throw error instanceof UnreadableFile ? error : new UnreadableFile(path, codeOf(error))
  } finally {
    bytes.fill(0)
    closeSync(file)
  }
}

function parsed<T>(path: string, text: string, parse: (text: string) => T): T {
  try {
    return parse(text)
  } catch (error) {
    throw new UnreadableFile(path, error instanceof Error ? error.message : 'malformed')
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unreadable'
}
