/** How much is tried: what fits into a build, or with KEYHOLE_FAULTS=long as much as a night allows. */
export const LONG = process.env['KEYHOLE_FAULTS'] === 'long'

/** Nothing here is timed: this ends what hangs, on a machine that is busy with something else. */
export const PATIENCE = { timeout: LONG ? 6 * 3_600_000 : 180_000 }

/** Random cases; a seed is printed with every objection. */
export function seeds(count: number): readonly number[] {
  return Array.from({ length: LONG ? count * 40 : count }, (_, seed) => seed)
}
