/** The story of `keyhole check`: what keyhole stands on, from its own files outwards. What fails stops only what needs it. */
import { certificates, serving } from './certificates.ts'
import type { Checking } from './finding.ts'
import { apiServer } from './kubernetes.ts'
import { lease } from './lease.ts'
import { policyInForce } from './policy.ts'
import type { CheckParts } from './ports.ts'
import { rights } from './rights.ts'
import { rotators } from './rotators.ts'
import { secrets } from './secrets.ts'
import { tokens } from './tokens.ts'
import { transitKeys } from './transit-keys.ts'
import { vault } from './vault.ts'

export async function* check(parts: CheckParts): Checking {
  const own = yield* tokens(parts)
  const trusted = yield* certificates(parts)
  yield* serving(parts)
  const policy = yield* policyInForce(parts)

  const kubernetes = yield* apiServer(parts, own, trusted)
  try {
    yield* rights(parts, kubernetes, policy)
    const found = yield* secrets(parts, kubernetes, policy)
    const journal = yield* lease(parts, kubernetes)

    const opened = yield* vault(parts, own, trusted, policy)
    try {
      const infos = yield* transitKeys(parts, opened, policy, found)
      yield* rotators(parts, policy, journal, infos)
    } finally {
      await opened?.close()
    }
  } finally {
    await kubernetes?.close()
  }
}
