/** Many at once, but no more than so many; none begins once it is halted. */

export interface Gate {
  <T>(act: () => Promise<T>): Promise<T>
  readonly width: number
}

/** First come, first served. What has to wait holds nothing but its place. */
export function gate(width: number): Gate {
  const waiting: (() => void)[] = []
  let inside = 0
  async function pass<T>(act: () => Promise<T>): Promise<T> {
    if (inside >= width) await new Promise<void>((resolve) => waiting.push(resolve))
    else inside += 1
    try {
      return await act()
    } finally {
      const next = waiting.shift()
      if (next === undefined) inside -= 1
      else next()
    }
  }
  return Object.assign(pass, { width })
}

/** All of them, whatever becomes of one: then the first failure, once nothing of it runs any more. */
export async function all<T, R>(items: readonly T[], act: (item: T) => Promise<R>): Promise<readonly R[]> {
  const outcomes = await Promise.allSettled(items.map(act))
  return outcomes.map((outcome) => {
    if (outcome.status === 'rejected') throw outcome.reason
    return outcome.value
  })
}

export function* chunks<T>(items: readonly T[], size: number): Generator<readonly T[]> {
  for (let at = 0; at < items.length; at += size) yield items.slice(at, at + size)
}
