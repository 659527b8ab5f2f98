/** Chance that repeats: xorshift32 of a seed. */

export interface Random {
  /** From 0, exclusive of `below`. */
  whole(below: number): number
  pick<T>(from: readonly [T, ...T[]]): T
}

export function seeded(seed: number): Random {
  let state = seed | 1
  function whole(below: number): number {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % below
  }
  return { whole, pick: (from) => from[whole(from.length)] ?? from[0] }
}
