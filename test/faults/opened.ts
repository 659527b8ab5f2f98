/** What a Secret holds, by the keyring itself: asked once for each ciphertext, since a version that is there stays as it is. */
import type { Sealed } from './estate.ts'
import type { Stored, World } from './world.ts'
import { contextOf } from './world.ts'

export interface OpenedHere {
  /** Undefined: it does not open in its place, or is not there. */
  readonly plaintext: string | undefined
  readonly version: number | undefined
}

export function openerOf(world: World): (sealed: Sealed, stored: Stored | undefined) => OpenedHere {
  const known = new Map<string, string | undefined>()
  const transit = world.vault.transit()

  function open(sealed: Sealed, ciphertext: string): string | undefined {
    try {
      return transit.decrypt(sealed.key, ciphertext, { context: contextOf(sealed) }).toString()
    } catch {
      return undefined
    }
  }

  return (sealed, stored) => {
    const ciphertext = stored?.data[sealed.dataKey]?.toString() ?? ''
    const digits = /^vault:v(\d+):/.exec(ciphertext)?.[1]
    const version = digits === undefined ? undefined : Number(digits)
    const id = `${sealed.key} ${sealed.namespace} ${sealed.secret} ${sealed.dataKey} ${ciphertext}`
    const cached = known.get(id)
    if (cached !== undefined) return { plaintext: cached, version }
    const plaintext = open(sealed, ciphertext)
    if (plaintext !== undefined) known.set(id, plaintext)
    return { plaintext, version }
  }
}
