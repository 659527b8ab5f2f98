/**
 * What the story of each action reports, in the order of the methods, and the verdict that is recorded of it. A method hands its
 * argument on, so that a story reads as one chain of permits. What types cannot hold is asserted here: each permit is of the same
 * caller and under the same grant as the one before it.
 */
import type { Unfulfilled } from '../audit-log/record.ts'
import type { RotationStatus } from '../contract.ts'
import type { Caller } from './authenticate.ts'
import type { Ask, Grant, Listing, RotationGrant } from './authorize.ts'
import type { Sealed } from './ciphertext.ts'
import type { Disclosed } from './disclose.ts'
import type { Draft, Recorded, Verdict } from './draft.ts'
import type { Started } from './rotation/run.ts'

export interface ReadEntry {
  identified(caller: Caller): Caller
  granted(grant: Grant): Grant
  unchanged(sealed: Sealed): Recorded<Unchanged>
  /** From here the envelope owns the plaintext: it disposes of it, unless it returns it. */
  disclosed(disclosed: Disclosed): Recorded<Disclosed>
}

/** The caller has the newest already. The 304 carries the ETag all the same. */
export interface Unchanged {
  readonly etag: string
}

export interface ListEntry {
  identified(caller: Caller): Caller
  listed(listing: Listing): Recorded<Listing>
}

export interface RotateEntry {
  identified(caller: Caller): Caller
  permitted(grant: RotationGrant): RotationGrant
  /** From here the envelope owns what was started: it disposes of it, unless it returns it to be begun. */
  started(started: Started): Recorded<Started>
}

export interface SurveyEntry {
  identified(caller: Caller): Caller
  permitted(grant: RotationGrant): RotationGrant
  surveyed(status: RotationStatus): Recorded<RotationStatus>
}

/** What a request to read asks for by name. */
export type ReadAsked = Pick<Ask, 'secret' | 'keys'>

/** Transit keys that a request to rotate asks for by name. */
export interface RotateAsked {
  readonly keys?: readonly string[] | undefined
}

export interface OpenEntry<E> {
  readonly entry: E
  /** The verdict on a request that got nothing, with what was known of it by then. */
  verdictOn(ending: Unfulfilled): Verdict
}

export function openRead(draft: Draft, asked: ReadAsked): OpenEntry<ReadEntry> {
  const grant = openGrant<Grant>(draft, 'granted-out-of-turn')

  function details(keys: readonly string[] = [], versions: readonly number[] = []) {
    const granted = grant.held()
    const wanted = granted?.selection ?? asked.keys ?? []
    return {
      action: 'read',
      secret: granted?.secret ?? { namespace: draft.identity()?.caller.namespace, ...asked.secret },
      keys,
      otherKeys: Math.max(0, wanted.length - keys.length),
      policyHash: granted?.policyHash ?? draft.identity()?.policyHash,
      transitKey: granted && { mount: granted.transitKey.mount, name: granted.transitKey.name, versions },
    } as const
  }

  return {
    verdictOn: (ending) => ({ ...details(), ...ending }),
    entry: {
      identified: draft.identified,
      granted: grant.accept,
      unchanged(sealed) {
        draft.assertRule(sealed.grant === grant.held(), 'sealed-under-another-grant')
        const { etag, parts } = sealed
        const versions = [...new Set(parts.map((part) => part.keyVersion))]
        return draft.record({ etag }, { ...details([], versions), outcome: 'unchanged', etag })
      },
      disclosed: (disclosed) =>
        draft.recordOwned(disclosed, ({ keys, etag, keyVersions }) => {
          draft.assertRule(disclosed.grant === grant.held(), 'disclosed-under-another-grant')
          return { ...details(keys, keyVersions), outcome: 'disclosed', etag }
        }),
    },
  }
}

export function openList(draft: Draft): OpenEntry<ListEntry> {
  const details = { action: 'list', otherKeys: 0 } as const
  return {
    verdictOn: (ending) => ({ ...details, policyHash: draft.identity()?.policyHash, ...ending }),
    entry: {
      identified: draft.identified,
      listed(listing) {
        draft.assertRule(draft.identity() !== undefined, 'listed-out-of-turn')
        const { policyHash, secrets } = listing
        return draft.record(listing, { ...details, policyHash, outcome: 'listed', listed: secrets.length })
      },
    },
  }
}

export function openRotate(draft: Draft, { keys = [] }: RotateAsked): OpenEntry<RotateEntry> {
  const grant = openGrant<RotationGrant>(draft, 'permitted-out-of-turn')
  const details = () => ({ action: 'rotate', ...rotationDetails(draft, grant.held(), keys) }) as const
  return {
    verdictOn: (ending) => ({ ...details(), ...ending }),
    entry: {
      identified: draft.identified,
      permitted: grant.accept,
      started: (started) =>
        draft.recordOwned(started, ({ id, joined }) => {
          draft.assertRule(started.grant === grant.held(), 'started-under-another-grant')
          return { ...details(), outcome: joined ? 'joined' : 'started', rotation: id }
        }),
    },
  }
}

export function openSurvey(draft: Draft): OpenEntry<SurveyEntry> {
  const grant = openGrant<RotationGrant>(draft, 'permitted-out-of-turn')
  const details = () => ({ action: 'survey', ...rotationDetails(draft, grant.held(), []) }) as const
  return {
    verdictOn: (ending) => ({ ...details(), ...ending }),
    entry: {
      identified: draft.identified,
      permitted: grant.accept,
      surveyed(status) {
        draft.assertRule(grant.held() !== undefined, 'surveyed-out-of-turn')
        return draft.record(status, { ...details(), outcome: 'listed', listed: status.ledger.length })
      },
    },
  }
}

function rotationDetails(draft: Draft, grant: RotationGrant | undefined, asked: readonly string[]) {
  const rotates = grant?.keys.map(({ transitKey }) => transitKey.name)
  return {
    rotates,
    otherKeys: Math.max(0, asked.length - (rotates?.length ?? 0)),
    policyHash: grant?.policyHash ?? draft.identity()?.policyHash,
  }
}

/** The one grant of a story, asserted to be its caller's. */
function openGrant<G extends { readonly caller: Caller }>(draft: Draft, outOfTurn: string) {
  let grant: G | undefined
  return {
    held: () => grant,
    accept(given: G): G {
      draft.assertRule(grant === undefined, outOfTurn)
      draft.assertRule(given.caller === draft.identity()?.caller, 'grant-of-another-caller')
      grant = given
      return given
    },
  }
}
