/** The harness on trial: each of these breaks the code in one way, and a scenario of the other tests must object to it. */
import { describe, expect, test } from 'vitest'
import type { Edit } from './mutants.ts'
import { mutated } from './mutants.ts'
import type { Told } from './scenarios.ts'
import {
  atOnce,
  clean,
  deleted,
  gitOps,
  lateForLease,
  olderBackBeforeRaise,
  oneFault,
  pasted,
  rotatedMeanwhile,
  stopped,
  writesBetweenRewrapAndPatch,
} from './scenarios.ts'
import type { Invariant } from './watch.ts'
import { Objection } from './watch.ts'

interface Mutant {
  readonly name: string
  readonly edits: readonly Edit[]
  readonly scenario: (told: Told) => Promise<void>
  /** Who objects. */
  readonly invariants: readonly Invariant[]
}

const ROTATION = 'services/rotation'

const MUTANTS: readonly Mutant[] = [
  {
    name: 'the JSON Patch has no test',
    edits: [{ file: 'external/kubernetes-secrets.ts', from: "{ op: 'test', path, value: from },", to: '' }],
    scenario: (told) => writesBetweenRewrapAndPatch(told, false),
    invariants: ['I5'],
  },
  {
    name: 'the JSON Patch writes beside the data',
    edits: [
      {
        file: 'external/kubernetes-secrets.ts',
        from: "{ op: 'test', path, value: from },",
        to: "{ op: 'test', path, value: from }, { op: 'add', path: '/metadata/labels', value: { mine: 'now' } },",
      },
    ],
    scenario: clean,
    invariants: ['I3'],
  },
  {
    name: 'ciphertexts of one Secret are mixed up',
    edits: [
      {
        file: `${ROTATION}/rewrap.ts`,
        from: 'one.parts[index] as LocatedPart',
        to: 'one.parts.at(-1 - index) as LocatedPart',
      },
    ],
    scenario: clean,
    invariants: ['I1'],
  },
  {
    name: 'the minimum is raised before anything moves',
    edits: [
      {
        file: `${ROTATION}/rotate-key.ts`,
        from: 'let verified = await verify(',
        to: 'await retire({ moved: { advanced, secrets: [] }, astray: [], lowest: undefined } as never)\n    let verified = await verify(',
      },
      { file: `${ROTATION}/plan.ts`, from: 'if (standing.left > 0)', to: 'if (standing.left < 0)' },
    ],
    scenario: clean,
    invariants: ['I6'],
  },
  {
    name: 'the refusal of one item of a batch is ignored',
    edits: [
      {
        file: `${ROTATION}/rewrap.ts`,
        from: "if ('refused' in outcome) return { one, blocked: REFUSED[outcome.refused] ?? 'MALFORMED' }",
        to: "if ('refused' in outcome) continue",
      },
    ],
    scenario: pasted,
    invariants: ['I6', 'I8'],
  },
  {
    name: 'verification believes the number in front of a ciphertext',
    edits: [
      {
        file: `${ROTATION}/verify.ts`,
        from: 'await rewrap(transitKey, found.filter(isLocated), claim.signal)',
        to: 'found.filter(isLocated).map((one) => ({ one, made: [] }))',
      },
    ],
    scenario: pasted,
    invariants: ['I6', 'I8'],
  },
  {
    name: 'the intent is not written',
    edits: [
      {
        file: `${ROTATION}/intend.ts`,
        from: 'await claim.write((state) => withIntent(state, intent))',
        to: '',
      },
    ],
    scenario: clean,
    invariants: ['I4'],
  },
  {
    name: 'rotate is repeated blindly',
    edits: [
      {
        file: `${ROTATION}/keys.ts`,
        from: 'if (!isThere) await transit.rotateKey({ token, mount: key.mount, key: key.name }, claim.signal)',
        to: 'await patiently(claim.signal, () => transit.rotateKey({ token, mount: key.mount, key: key.name }, claim.signal))',
      },
    ],
    scenario: (told) => oneFault(told, 'rotate times out', 'applied-then-timeout', ({ act }) => act === 'rotate'),
    invariants: ['I4'],
  },
  {
    name: 'nobody looks after the minimum was raised',
    edits: [
      {
        file: `${ROTATION}/raise.ts`,
        from: 'return await lookAfter(intended, { before, after, backTo: before }, raised)',
        to: 'return raised',
      },
    ],
    scenario: (told) => olderBackBeforeRaise(told, 'pay'),
    invariants: ['I6'],
  },
  {
    name: 'what fell below is put back with no word of it',
    edits: [
      {
        file: `${ROTATION}/raise.ts`,
        from: 'effects.record(rotating, { effect, transitKey, from, to }, (begun) =>',
        to: "effects.record(rotating, { effect: 'retire', transitKey, from, to }, (begun) =>",
      },
    ],
    scenario: (told) => olderBackBeforeRaise(told, 'pay'),
    invariants: ['I6', 'I11'],
  },
  {
    name: 'the Lease is taken without compare-and-swap',
    edits: [
      {
        file: `${ROTATION}/journal.ts`,
        from: 'throw inProgress(state, options.durationMs)',
        to: 'return await take(await read(signal), state, signal)',
      },
    ],
    scenario: lateForLease,
    invariants: ['I4'],
  },
  {
    name: 'the fence is gone',
    edits: [
      { file: `${ROTATION}/keys.ts`, from: '      await claim.renew(isLast ? 0 : freshMs)\n', to: '' },
      { file: `${ROTATION}/keys.ts`, from: '<= claim.heldUntilMs()', to: '> 0' },
    ],
    scenario: (told) => stoppedAtRotate(told),
    invariants: ['I4'],
  },
  {
    name: 'a Lease that another took is taken back',
    edits: [
      {
        file: `${ROTATION}/lease-writer.ts`,
        from: 'if (found?.holder !== holder) return undefined',
        to: 'if (found === undefined) return undefined',
      },
    ],
    scenario: (told) => stoppedAtRotate(told),
    invariants: ['I4'],
  },
  {
    name: 'an effect has no record of its begin',
    edits: [
      {
        file: `${ROTATION}/effects.ts`,
        from: "await append({ ...record, phase: 'begin', timeMs: clock.now() })",
        to: '',
      },
    ],
    scenario: clean,
    invariants: ['I11'],
  },
  {
    name: 'an effect has no record of its end',
    edits: [{ file: `${ROTATION}/effects.ts`, from: "await end(isDone(result) ? 'done' : 'failed')", to: '' }],
    scenario: clean,
    invariants: ['I11'],
  },
  {
    name: 'the report calls complete what is blocked',
    edits: [{ file: `${ROTATION}/key-report.ts`, from: 'blocked === 0 && ', to: '' }],
    scenario: pasted,
    invariants: ['I8'],
  },
  {
    name: 'a Secret that is gone is taken for one without ciphertext',
    edits: [
      {
        file: `${ROTATION}/inspect.ts`,
        from: "{ secret, blocked: 'SECRET_MISSING', gitops: undefined }",
        to: '{ secret, parts: [], version: undefined, immutable: false, gitops: undefined }',
      },
    ],
    scenario: (told) => deletedAnywhere(told),
    invariants: ['I6', 'I8'],
  },
  {
    name: 'a Secret that is gone when it is written is passed over',
    edits: [
      {
        file: `${ROTATION}/move.ts`,
        from: 'else wanted.tally.blocked({ secret, gitops, ...written })',
        to: 'else wanted.tally.current(secret, gitops)',
      },
      {
        file: `${ROTATION}/verify.ts`,
        from: 'for (const one of found) if (isBlocked(one)) tally.blocked(one)',
        to: '',
      },
    ],
    scenario: (told) => deletedAnywhere(told),
    invariants: ['I6', 'I8'],
  },
  {
    name: 'a Secret that is gone does not bar retirement',
    edits: [{ file: `${ROTATION}/plan.ts`, from: 'if (standing.blocked > 0)', to: 'if (standing.blocked < 0)' }],
    scenario: (told) => deletedAnywhere(told),
    invariants: ['I6'],
  },
  {
    name: 'a Secret that is gone holds up the others',
    edits: [
      {
        file: `${ROTATION}/move.ts`,
        from: 'if (isBlocked(one)) tally.blocked(one)',
        to: "if (isBlocked(one)) throw new Error('gone')",
      },
    ],
    scenario: (told) => deletedAnywhere(told),
    invariants: ['I8'],
  },
  {
    name: 'a version that Vault made by itself is taken for a failure',
    edits: [
      {
        file: `${ROTATION}/write-secret.ts`,
        from: 'made.some(({ keyVersion }) => keyVersion < target)',
        to: 'made.some(({ keyVersion }) => keyVersion !== target)',
      },
    ],
    scenario: (told) => rotatedMeanwhile(told, 'pay', ['rotate', 1]),
    invariants: ['I8'],
  },
  {
    name: 'a version is retired under what git brings back',
    edits: [{ file: `${ROTATION}/plan.ts`, from: 'if (standing.gitops > 0)', to: 'if (standing.gitops < 0)' }],
    scenario: gitOps,
    invariants: ['I6'],
  },
  {
    name: 'a reader is told that a Secret is gone which is there',
    edits: [
      {
        file: 'services/ciphertext.ts',
        from: 'if (stored === undefined) throw',
        to: "if (stored === undefined || secret === 'db') throw",
      },
    ],
    scenario: clean,
    invariants: ['I7'],
  },
  {
    name: 'a value of the Secret gets into the report',
    edits: [
      {
        file: `${ROTATION}/inspect.ts`,
        from: 'const gitops = gitopsTool(held)',
        to: 'const gitops = gitopsTool(held) ?? [...held.data.values()].join()',
      },
    ],
    scenario: clean,
    invariants: ['I9'],
  },
  {
    name: 'ciphertext is moved by decrypting it',
    edits: [
      {
        file: 'external/vault-rotation.ts',
        from: "pathOf(mount, 'rewrap', key)",
        to: "pathOf(mount, 'decrypt' as 'rewrap', key)",
      },
    ],
    scenario: clean,
    invariants: ['I10'],
  },
  {
    name: 'a reader does not read again what is too old',
    edits: [
      {
        file: 'services/open.ts',
        from: 'if (error instanceof TooOld) return',
        to: 'if (error instanceof TooOld && signal.aborted) return',
      },
    ],
    scenario: clean,
    invariants: ['I7'],
  },
]

/** Calls 6 to 11 of a rotation surround its first new version, from the write of what is intended on. */
async function stoppedAtRotate(told: Told): Promise<void> {
  for (const number of [6, 7, 8, 9, 10, 11]) await stopped(told, number, 'stop-before', false)
}

/** Between calls 4 and 60 of a rotation, whichever Secret. */
async function deletedAnywhere({ seed, ...told }: Told): Promise<void> {
  await deleted({ seed, ...told }, 4 + 5 * seed, seed)
}

describe('the harness objects where', () => {
  test.each(MUTANTS)('$name', async ({ edits, scenario, invariants }) => {
    using mutant = await mutated(edits)
    const objection = await firstObjection(scenario, mutant)
    expect(objection, objection?.message).toBeInstanceOf(Objection)
    expect(invariants, objection?.message).toContain(objection?.invariant)
  })

  test('and to none of these scenarios, where nothing is broken', async () => {
    const distinct = [
      clean,
      deletedAnywhere,
      gitOps,
      pasted,
      lateForLease,
      stoppedAtRotate,
      (told: Told) => atOnce(told, 2),
    ]
    using mutant = await mutated([])
    for (const scenario of distinct) expect(await firstObjection(scenario, mutant, 1)).toBeUndefined()
  })
})

async function firstObjection(
  scenario: Mutant['scenario'],
  { code }: Pick<Told, 'code'>,
  seeds = 12,
): Promise<Objection | undefined> {
  for (let seed = 0; seed < seeds; seed += 1) {
    try {
      await scenario({ seed, code })
    } catch (error) {
      if (error instanceof Objection) return error
      throw error
    }
  }
  return undefined
}
