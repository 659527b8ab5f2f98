/** Held by the compiler: each `@ts-expect-error` is itself an error where the line below it compiles. */
import { expect, it } from 'vitest'
import type { Audit } from '../../src/services/audit.ts'
import type { Disclosed } from '../../src/services/disclose.ts'
import type { Recorded } from '../../src/services/draft.ts'
import type { ListEntry, ReadEntry, RotateEntry, SurveyEntry, Unchanged } from '../../src/services/entry.ts'
import {
  attempt,
  caller,
  DB,
  disclosed,
  grant,
  listing,
  rotationGrant,
  rotationStatus,
  started,
} from './audit-bench.ts'

declare const audit: Audit
declare const reads: ReadEntry
declare const lists: ListEntry
declare const rotates: RotateEntry
declare const surveys: SurveyEntry

/** Never called: only compiled. */
function mustNotCompile(): void {
  const of = grant(caller())

  // @ts-expect-error a story that forgets to record
  void audit.read(attempt(), DB, async () => disclosed(of))

  // @ts-expect-error a story that records nothing at all
  void audit.read(attempt(), DB, async () => undefined)

  // @ts-expect-error a record made by hand: the brand is the draft's own
  const forged: Recorded<Disclosed> = { result: disclosed(of) }
  void forged

  // @ts-expect-error the record of something else than what the route returns
  void audit.read<Disclosed>(attempt(), DB, async (): Promise<Recorded<Unchanged>> => reads.unchanged({} as never))

  // @ts-expect-error the record of another action
  void audit.list(attempt(), async () => reads.disclosed(disclosed(of)))

  // @ts-expect-error an identity that nobody reviewed
  reads.identified({ namespace: 'payments', serviceAccount: 'api', uid: 'uid-1' })

  // @ts-expect-error a grant in place of what was disclosed under it
  reads.disclosed(of)

  // @ts-expect-error a rotation that somebody made up
  rotates.permitted({ caller: caller(), keys: [], policyHash: '' })

  // @ts-expect-error a grant to read is none to rotate
  rotates.permitted(of)

  // @ts-expect-error nor the other way round
  reads.granted(rotationGrant(caller()))

  // @ts-expect-error the id of a rotation in place of one that was started
  rotates.started({ id: 'rotation-1', joined: false })

  // @ts-expect-error a rotation that was started and not recorded
  void audit.rotate(attempt(), {}, async () => started(rotationGrant(caller())))

  // @ts-expect-error something opened cannot be unchanged
  reads.unchanged(disclosed(of))

  // @ts-expect-error who reads lists nothing
  reads.listed(listing([]))

  // @ts-expect-error who lists is granted nothing
  lists.granted(of)

  // @ts-expect-error and starts nothing
  lists.started(started(rotationGrant(caller())))

  // @ts-expect-error who reads may not rotate
  reads.permitted(rotationGrant(caller()))

  // @ts-expect-error who rotates is granted nothing to read
  rotates.granted(of)

  // @ts-expect-error and surveys nothing
  rotates.surveyed(rotationStatus(1))

  // @ts-expect-error who surveys starts nothing
  surveys.started(started(rotationGrant(caller())))
}

/** Never called: only compiled. */
function mustCompile(): Promise<Disclosed | Unchanged> {
  return audit.read<Disclosed | Unchanged>(attempt(), DB, async (own) => own.disclosed(disclosed(grant(caller()))))
}

it('is held by the compiler', () => {
  expect([mustNotCompile, mustCompile]).toHaveLength(2)
})
