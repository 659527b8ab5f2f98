/**
 * One call for several waiters. Each waiter keeps its own deadline: one that gives up takes nothing from the others,
 * and the call itself is aborted only when nobody waits for it any more.
 */

export interface Joined<K, T> {
  join(key: K, signal: AbortSignal, start: (signal: AbortSignal) => Promise<T>): Promise<T>
}

interface Call<T> {
  readonly answer: Promise<T>
  readonly controller: AbortController
  waiters: number
}

export function joined<K, T>(): Joined<K, T> {
  const calls = new Map<K, Call<T>>()

  function begin(key: K, start: (signal: AbortSignal) => Promise<T>): Call<T> {
    const controller = new AbortController()
    const answer = start(controller.signal).finally(() => {
      // An aborted call has already made room for the next one of its key.
      if (calls.get(key) === call) calls.delete(key)
    })
    const call: Call<T> = { answer, controller, waiters: 0 }
    calls.set(key, call)
    return call
  }

  return {
    async join(key, signal, start) {
      signal.throwIfAborted()
      const call = calls.get(key) ?? begin(key, start)
      call.waiters += 1
      try {
        return await raced(call.answer, signal)
      } finally {
        call.waiters -= 1
        if (call.waiters === 0) {
          if (calls.get(key) === call) calls.delete(key)
          call.controller.abort(new Error('nobody waits for this call any more'))
        }
      }
    },
  }
}

/** The promise's outcome, or the signal's reason, whichever comes first. Leaves no listener behind. */
export async function raced<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  // Whoever loses the race, or comes too late for it, still has an outcome. Unheard, a rejection ends the process.
  promise.catch(() => {})
  signal.throwIfAborted()
  let giveUp = (): void => {}
  try {
    return await Promise.race([
      promise,
      new Promise<never>((_, reject) => {
        giveUp = () => reject(signal.reason as Error)
        signal.addEventListener('abort', giveUp)
      }),
    ])
  } finally {
    signal.removeEventListener('abort', giveUp)
  }
}
