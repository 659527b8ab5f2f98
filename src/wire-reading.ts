/** The stages of a read, put together, and what is known of the keys that they decrypt with. */
import type { Clock } from './clock.ts'
import type { Config } from './config.ts'
import type { Log } from './log.ts'
import { PROBE_EVERY_MS } from './rounds.ts'
import type { Reading } from './routes/secrets.ts'
import type { Secrets } from './services/ciphertext.ts'
import { ciphertextReader } from './services/ciphertext.ts'
import type { Transit } from './services/decrypt.ts'
import { decryptor } from './services/decrypt.ts'
import { discloser } from './services/disclose.ts'
import { opener } from './services/open.ts'
import type { TransitKeys } from './services/transit-keys.ts'
import { transitKeys } from './services/transit-keys.ts'
import type { VaultSessions } from './services/vault-sessions.ts'

/** How long an answer about a key stands: a good one outlives the next round; a bad one may have been mended. */
const PROBE_KEEP_MS = 2 * PROBE_EVERY_MS
const PROBE_RETRY_MS = 10_000
/** A reply holds a dictionary and little else, one level deeper. */
const REPLY_OVERHEAD_BYTES = 65_536

export interface ReadingParts {
  readonly kubernetes: Secrets
  readonly transit: Transit
  readonly sessions: VaultSessions
  readonly clock: Clock
  readonly log: Log
}

export interface WiredReading {
  readonly reading: Reading
  readonly keys: TransitKeys
}

export function wireReading(config: Config, parts: ReadingParts): WiredReading {
  const { kubernetes, transit, sessions, clock, log } = parts
  const { KEYHOLE_REALM: realm, KEYHOLE_VAULT_ROLE: role } = config
  const decrypt = decryptor({ transit, sessions, realm, role })
  const keys = transitKeys({
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
  const ciphertext = ciphertextReader(kubernetes)
  const bounds = { maxBytes: config.KEYHOLE_MAX_DICTIONARY_BYTES, maxDepth: config.KEYHOLE_MAX_DICTIONARY_DEPTH }
  const reading = {
    ciphertext,
    open: opener({ decrypt, ciphertext, keys }),
    disclose: discloser(bounds),
    replyBounds: replyBounds(config),
  }
  return { reading, keys }
}

/** A reply in base64 is a third longer than what it holds. */
function replyBounds(config: Config) {
  return {
    maxBytes: Math.ceil((config.KEYHOLE_UPSTREAM_MAX_BYTES * 4) / 3) + REPLY_OVERHEAD_BYTES,
    maxDepth: config.KEYHOLE_MAX_DICTIONARY_DEPTH + 1,
  }
}
