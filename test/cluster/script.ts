/**
 * A page of the documentation as a script: its ```sh blocks in order, in one bash in the root of the repository, as a reader
 * would type them. A block ```sh skip=WHY is left to the reader.
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface Block {
  /** In the page, counted from 1. */
  readonly line: number
  readonly commands: string
}

export interface Followed {
  readonly block: Block
  readonly output: string
}

export function blocksOf(markdown: string): readonly Block[] {
  const blocks: Block[] = []
  for (const match of markdown.matchAll(/^```sh([^\n]*)\n(.*?)^```$/gms)) {
    const [, info = '', commands = ''] = match
    if (/\bskip=/.test(info)) continue
    blocks.push({ line: markdown.slice(0, match.index).split('\n').length, commands })
  }
  return blocks
}

export interface Surroundings {
  readonly cwd: string
  readonly env: NodeJS.ProcessEnv
  /** Told of each block as it begins. */
  readonly began: (block: Block) => void
  /** Commands before the first block. */
  readonly preamble?: string
}

/** @throws Error that names the first block that fails, or does not end, with what it printed. Nothing that it started runs on. */
export async function follow(blocks: readonly Block[], surroundings: Surroundings): Promise<readonly Followed[]> {
  const directory = mkdtempSync(join(tmpdir(), 'keyhole-script-'))
  try {
    const file = join(directory, 'script.sh')
    // From a file, since a command of it may read its standard input; in one stream, as a reader sees it.
    writeFileSync(
      file,
      [
        'exec 2>&1',
        surroundings.preamble ?? '',
        ...blocks.map((block) => `echo '${markOf(block)}'\n${block.commands}`),
      ].join('\n'),
    )
    const { status, hung, output } = await run(file, blocks, surroundings)
    const followed = blocks.flatMap((block) => {
      const printed = output.split(`${markOf(block)}\n`)[1]?.split(MARK)[0]
      return printed === undefined ? [] : [{ block, output: printed }]
    })
    const last = followed.at(-1)
    if (status === 0) return followed
    const how = hung ? `did not end within ${BLOCK_WITHIN_MS / 1_000} s` : 'failed'
    throw new Error(`the block at line ${last?.block.line} ${how}:\n${last?.block.commands}\n${last?.output}`)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

/** Longer than any block waits by itself. */
const BLOCK_WITHIN_MS = 480_000

const MARK = '--- block at line '

/** A preamble: whoever looks for what is not there, as on a good day, has found that out; anything else that fails is a failure. */
export const GREP_MAY_FIND_NOTHING = 'grep() { command grep "$@" || [ $? = 1 ]; }'

function markOf({ line }: Block): string {
  return `${MARK}${line}`
}

interface Outcome {
  readonly status: number
  /** It was killed, since a block took too long. */
  readonly hung: boolean
  readonly output: string
}

/**
 * In a process group of its own, which ends with the shell: a forward that a failed block left in the background would hold its
 * port, and our pipe. The guard in it reads from us, and ends the group when we are gone without a word.
 */
function run(file: string, blocks: readonly Block[], { cwd, env, began }: Surroundings): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const guarded = ['-c', GUARD, 'sh', 'bash', '-eu', '-o', 'pipefail', file]
    const shell = spawn('sh', guarded, { cwd, env, detached: true, stdio: ['pipe', 'pipe', 'inherit'] })
    let [output, unfinished, hung] = ['', '', false]
    const patience = setTimeout(() => {
      hung = true
      killGroup(shell.pid)
    }, BLOCK_WITHIN_MS)
    shell.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text
      const lines = `${unfinished}${text}`.split('\n')
      // Until the rest of it comes.
      unfinished = lines.pop() ?? ''
      for (const line of lines) {
        // What a block printed last may have had no end of line.
        const block = blocks.find((one) => line.endsWith(markOf(one)))
        if (block === undefined) continue
        patience.refresh()
        began(block)
      }
    })
    shell.on('error', (error) => {
      clearTimeout(patience)
      reject(error)
    })
    shell.on('exit', () => {
      clearTimeout(patience)
      killGroup(shell.pid)
    })
    shell.on('close', (code) => resolve({ status: code ?? -1, hung, output }))
  })
}

const GUARD = 'exec 3<&0; ( (read -r _ <&3; kill -KILL 0) & ); exec "$@" 3<&- </dev/null'

function killGroup(leader: number | undefined): void {
  if (leader === undefined) return
  try {
    process.kill(-leader, 'SIGKILL')
  } catch {
    // Nobody is left in it.
  }
}
