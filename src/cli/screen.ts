/**
 * The only writer of text. What is printed comes from peers, files and arguments, and a terminal obeys control characters.
 * So only printable ASCII is written, and no text can end its line.
 */
import { ascii } from '../words.ts'
import type { Environment, Output } from './world.ts'

export interface Screen {
  /** Prints a line of its own, below what was last redrawn. */
  line(text: string, style?: Style): void
  /** Replaces what was last redrawn; cut to the width. Only on a terminal. */
  redraw(text: string): void
  /** Keeps what was last redrawn: the next text goes below it. */
  leave(): void
  readonly isTerminal: boolean
  readonly width: number
}

export type Style = 'plain' | 'bold' | 'good' | 'bad'

const SGR: Readonly<Record<Style, string>> = { plain: '', bold: '1', good: '32', bad: '31' }
const DEFAULT_COLUMNS = 80

export function openScreen(output: Output, environment: Environment): Screen {
  const isTerminal = output.isTTY === true && environment['TERM'] !== 'dumb'
  const isColoured = isTerminal && (environment['NO_COLOR'] ?? '') === ''
  let isDrawn = false

  function leave(): void {
    if (isDrawn) output.write('\n')
    isDrawn = false
  }

  return {
    isTerminal,
    // Some terminals wrap when the last column is full, and some say that they have no columns.
    width: Math.max(20, (output.columns || DEFAULT_COLUMNS) - 1),
    line(text, style = 'plain') {
      const shown = ascii(text)
      leave()
      output.write(isColoured && style !== 'plain' ? `\x1b[${SGR[style]}m${shown}\x1b[0m\n` : `${shown}\n`)
    },
    redraw(text) {
      if (!isTerminal) return
      output.write(`\r${ascii(text).slice(0, this.width)}\x1b[K`)
      isDrawn = true
    },
    leave,
  }
}

/** One JSON document on one line, escaped like any text and still the same document. */
export function jsonLine(value: unknown): string {
  return `${ascii(JSON.stringify(value))}\n`
}
