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

/** @throws Error that names the first block that fails, with what it printed. */
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
    const { status, output } = await run(file, blocks, surroundings)
    const followed = blocks.flatMap((block) => {
      const printed = output.split(`${markOf(block)}\n`)[1]?.split(MARK)[0]
      return printed === undefined ? [] : [{ block, output: printed }]
    })
    const last = followed.at(-1)
    if (status === 0) return followed
    throw new Error(`the block at line ${last?.block.line} failed:\n${last?.block.commands}\n${last?.output}`)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

const MARK = '--- block at line '

/** A preamble: whoever looks for what is not there, as on a good day, has found that out; anything else that fails is a failure. */
export const GREP_MAY_FIND_NOTHING = 'grep() { command grep "$@" || [ $? = 1 ]; }'

function markOf({ line }: Block): string {
  return `${MARK}${line}`
}

function run(
  file: string,
  blocks: readonly Block[],
  { cwd, env, began }: Surroundings,
): Promise<{ status: number; output: string }> {
  return new Promise((resolve, reject) => {
    const shell = spawn('bash', ['-eu', '-o', 'pipefail', file], { cwd, env, stdio: ['ignore', 'pipe', 'inherit'] })
    let output = ''
    shell.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text
      for (const line of text.split('\n')) {
        const block = blocks.find((one) => markOf(one) === line)
        if (block !== undefined) began(block)
      }
    })
    shell.on('error', reject)
    shell.on('close', (code) => resolve({ status: code ?? -1, output }))
  })
}
