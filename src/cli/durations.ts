/** Durations as people write them: one whole number, one unit. */

const UNITS_MS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

/** Milliseconds; undefined for what is no duration, or none at all. */
export function parseDuration(text: string): number | undefined {
  const [, number, unit] = /^(\d{1,6})([smhd])$/.exec(text) ?? []
  const ms = Number(number) * UNITS_MS[unit as keyof typeof UNITS_MS]
  return ms > 0 ? ms : undefined
}

/** In the largest unit that says something, rounded down: an age is never told as more than it is. */
export function ageText(ms: number): string {
  const [unit, unitMs] = largest(Math.max(0, ms))
  return `${Math.floor(Math.max(0, ms) / unitMs)} ${unit}`
}

/** Rounded up: whoever waits that long has waited enough. */
export function waitText(ms: number): string {
  return `${Math.ceil(ms / 1_000)} s`
}

function largest(ms: number): readonly [string, number] {
  // Two days are still counted in hours: at that size hours matter.
  const fits = Object.entries(UNITS_MS).findLast(([, unitMs]) => ms >= 2 * unitMs)
  return [fits?.[0] ?? 's', fits?.[1] ?? 1_000]
}
