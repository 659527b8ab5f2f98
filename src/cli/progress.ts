/** A rotation as it is watched: a bar that is redrawn on a terminal, a line per step elsewhere. */
import type { Clock } from '../clock.ts'
import type { RotationEvent } from '../contract.ts'
import type { Screen } from './screen.ts'

export interface Progress {
  told(event: RotationEvent): void
  /** A line among them, such as why a try failed. */
  say(text: string): void
  /** Shows what was held back, and stops. */
  end(): void
}

/** Redrawn at most ten times a second. */
const REDRAW_MS = 100
/** For logs, which somebody pays for. */
const LINE_MS = 2_000

export function openProgress(screen: Screen, clock: Clock): Progress {
  const everyMs = screen.isTerminal ? REDRAW_MS : LINE_MS
  let shownAtMs = clock.now()
  let held: Counted | undefined
  let watched: Counted | undefined
  let cancel = () => {}

  function show(): void {
    if (held === undefined) return
    cancel()
    shownAtMs = clock.now()
    if (screen.isTerminal) screen.redraw(bar(held, screen.width))
    else screen.line(`${held.key}: ${held.stage} ${held.done} of ${held.total}`)
    held = undefined
  }

  function hold(counted: Counted): void {
    held = counted
    cancel()
    const waitMs = shownAtMs + everyMs - clock.now()
    if (waitMs <= 0) show()
    else cancel = clock.after(waitMs, show)
  }

  /** The bar that is left behind shows where it ended; a log does without. */
  function close(): void {
    cancel()
    if (screen.isTerminal) show()
    screen.leave()
    held = undefined
  }

  return {
    told(event) {
      if (event.type === 'progress') {
        if (watched?.key !== event.key || watched.stage !== event.stage) close()
        watched = event
        hold(event)
        return
      }
      close()
      // The time of a line counts from its step.
      if (!screen.isTerminal) shownAtMs = clock.now()
      screen.line(event.type === 'started' ? startedText(event) : stepText(event))
    },
    say(text) {
      close()
      screen.line(text)
    },
    end: close,
  }
}

type Counted = Extract<RotationEvent, { readonly type: 'progress' }>

function startedText({ id, keys, dryRun }: Extract<RotationEvent, { readonly type: 'started' }>): string {
  const what = keys.length === 1 ? `key ${keys[0]}` : `${keys.length} keys`
  return `${dryRun ? 'Dry run' : 'Rotation'} ${id} of ${what}`
}

function stepText({ key, stage, from, to }: Extract<RotationEvent, { readonly type: 'step' }>): string {
  const versions = [...new Set([from, to].filter((version) => version !== undefined))]
  return `${key}: ${stage}${versions.length === 0 ? '' : `, version ${versions.join(' -> ')}`}`
}

const LONGEST_BAR = 40
const SHORTEST_BAR = 5

/** Its name gives way before its numbers do. */
function bar({ key, stage, done, total }: Counted, width: number): string {
  const share = total === 0 ? 1 : Math.min(1, done / total)
  const numbers = ` ${done} of ${total}`
  const name = `${key}: ${stage}`
  const room = Math.min(LONGEST_BAR, width - numbers.length - name.length - 3)
  if (room < SHORTEST_BAR) return `${name.slice(0, Math.max(0, width - numbers.length))}${numbers}`
  const filled = Math.floor(share * room)
  return `${name} [${'#'.repeat(filled)}${'-'.repeat(room - filled)}]${numbers}`
}
