/** A pipe for audit lines that fails, hangs and tears lines as it is told, and can be mended. */
import type { Writable } from 'node:stream'

export interface FragileSink {
  readonly stream: Writable
  /** Whatever got through, by lines; what was torn is no record. */
  readonly lines: readonly string[]
  /** Every write fails with this errno from now on; half of the bytes get through if `torn`. */
  fail(code: string, torn?: boolean): void
  /** Every write hangs from now on, until mended: then it succeeds. */
  block(): void
  /** How many writes hang. */
  waiting(): number
  mend(): void
}

/** Not a Writable of Node's: that one is over for good after its first error, as a pipe is and a full disk is not. */
export function fragileSink(): FragileSink {
  let text = ''
  let failure: { readonly code: string; readonly torn: boolean } | undefined
  let blocked = false
  let hanging: (() => void)[] = []

  function write(bytes: Buffer, done: (error?: Error) => void): boolean {
    if (blocked) {
      hanging.push(() => write(bytes, done))
      return false
    }
    if (failure === undefined) text += bytes.toString()
    else if (failure.torn) text += bytes.toString().slice(0, bytes.length >> 1)
    const { code } = failure ?? {}
    process.nextTick(() => done(code === undefined ? undefined : Object.assign(new Error(code), { code })))
    return true
  }

  return {
    stream: { on: () => undefined, write } as unknown as Writable,
    get lines() {
      return text.split('\n').filter((line) => line !== '')
    },
    fail(code, torn = false) {
      failure = { code, torn }
    },
    block() {
      blocked = true
    },
    waiting: () => hanging.length,
    mend() {
      failure = undefined
      blocked = false
      const ready = hanging
      hanging = []
      for (const write of ready) write()
    },
  }
}
