/** What a rotation may have changed, and nothing else. */
import { expect } from 'vitest'
import type { Fleet, Looked } from './fleet.ts'

/** Every Secret is at this version, opens to what it held, and is otherwise as it was. */
export async function expectOnly(
  fleet: Fleet,
  before: ReadonlyMap<string, Looked>,
  { version }: { readonly version: number },
): Promise<void> {
  const after = await fleet.look()
  const wanted = [...before].map(([id, { value, rest }]) => ({ id, version, value, rest }))
  const found = [...after].map(([id, { version: at, value, rest }]) => ({ id, version: at, value, rest }))
  expect(found.length).toBe(fleet.places.length)
  expect(found).toEqual(wanted)
}
