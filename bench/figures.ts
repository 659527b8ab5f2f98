/** Numbers out of samples. */

export function quantile(samples: readonly number[], q: number): number {
  const sorted = samples.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN
}

export function median(samples: readonly number[]): number {
  return quantile(samples, 0.5)
}

export async function timed(act: () => Promise<void>): Promise<number> {
  const began = performance.now()
  await act()
  return performance.now() - began
}

/** Requests a second of so many clients, each asking again when it is answered. */
export async function throughput(
  clients: number,
  forMs: number,
  act: (client: number) => Promise<void>,
): Promise<number> {
  const began = performance.now()
  let done = 0
  await Promise.all(
    Array.from({ length: clients }, async (_, client) => {
      while (performance.now() - began < forMs) {
        await act(client)
        done += 1
      }
    }),
  )
  return done / ((performance.now() - began) / 1000)
}

export interface Row {
  readonly measure: string
  readonly figure: string
  readonly goal: string
  readonly met: boolean | undefined
}

export function row(measure: string, figure: string, goal: string, met?: boolean): Row {
  return { measure, figure, goal, met }
}

export function ratio(value: number): string {
  return `${value.toFixed(2)}x`
}

export function ms(value: number): string {
  return `${value.toFixed(2)} ms`
}

export function table(rows: readonly Row[]): string {
  const lines = rows.map(({ measure, figure, goal, met }) => `| ${measure} | ${figure} | ${goal} | ${verdict(met)} |`)
  return ['| measure | figure | goal | met |', '| --- | --- | --- | --- |', ...lines].join('\n')
}

function verdict(met: boolean | undefined): string {
  return met === undefined ? '' : met ? 'yes' : 'no'
}
