/** Held by the compiler: each `@ts-expect-error` is itself an error where the line below it compiles. */
import { expect, it } from 'vitest'
import type { Audit } from '../../src/services/audit.ts'
import type { Disclosed } from '../../src/services/disclose.ts'
import type { Entry, Recorded, Unchanged } from '../../src/services/entry.ts'
import type { Started } from '../../src/services/rotation/run.ts'
import { attempt, caller, disclosed, grant, rotationGrant, started } from './audit-bench.ts'

declare const audit: Audit
declare const entry: Entry

/** Never called: only compiled. */
function mustNotCompile(): void {
  const of = grant(caller())

  // @ts-expect-error a story that forgets to record
  void audit<Disclosed>(attempt(), async () => disclosed(of))

  // @ts-expect-error a story that records nothing at all
  void audit(attempt(), async () => undefined)

  // @ts-expect-error a record made by hand: the brand is the envelope's own
  const forged: Recorded<Disclosed> = { result: disclosed(of) }
  void forged

  // @ts-expect-error the record of something else than what the route returns
  void audit<Disclosed>(attempt(), async (own) => own.listed({ secrets: [], policyHash: '' }))

  // @ts-expect-error an identity that nobody reviewed
  entry.identified({ namespace: 'payments', serviceAccount: 'api', uid: 'uid-1' })

  // @ts-expect-error a grant in place of what was disclosed under it
  entry.disclosed(of)

  // @ts-expect-error a rotation that somebody made up
  entry.permitted({ caller: caller(), keys: [], policyHash: '' })

  // @ts-expect-error a grant to read is none to rotate
  entry.permitted(of)

  // @ts-expect-error nor the other way round
  entry.granted(rotationGrant(caller()))

  // @ts-expect-error the id of a rotation in place of one that was started
  entry.started({ id: 'rotation-1', joined: false })

  // @ts-expect-error a rotation that was started and not recorded
  void audit<Started>(attempt(), async () => started(rotationGrant(caller())))

  // @ts-expect-error something opened cannot be unchanged
  entry.unchanged(disclosed(of))
}

/** Never called: only compiled. */
function mustCompile(): Promise<Disclosed | Unchanged> {
  return audit<Disclosed | Unchanged>(attempt(), async (own) => own.disclosed(disclosed(grant(caller()))))
}

it('is held by the compiler', () => {
  expect([mustNotCompile, mustCompile]).toHaveLength(2)
})
