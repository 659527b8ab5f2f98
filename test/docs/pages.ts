/** The project's pages, as tests read them: their prose, their blocks, their headings and their links. */
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

export const ROOT = join(import.meta.dirname, '../..')

export interface Page {
  /** Relative to the root of the repository. */
  readonly path: string
  readonly text: string
  readonly blocks: readonly Block[]
  /** Without fenced blocks. */
  readonly prose: string
}

/** What stands between fences. */
export interface Block {
  /** Of the opening fence, from 1. */
  readonly line: number
  /** The first word behind it. */
  readonly kind: string
  readonly text: string
}

const FENCED = /^```(\S*)[^\n]*\n(.*?)^```$/gms

/** Everything that a reader is told, but for what is of the past: the changelog and the decisions. */
export const pages: readonly Page[] = [
  'README.md',
  'SECURITY.md',
  'DESIGN.md',
  'CONTRIBUTING.md',
  ...globSync('docs/**/*.md', { cwd: ROOT }).toSorted(),
].map(readPage)

export function readPage(path: string): Page {
  const text = readFileSync(join(ROOT, path), 'utf8')
  const blocks: Block[] = []
  const prose = text.replace(FENCED, (_, kind: string, inner: string, at: number) => {
    blocks.push({ line: text.slice(0, at).split('\n').length, kind, text: inner })
    return ''
  })
  return { path, text, blocks, prose }
}

/** All blocks of one kind, with where they stand. */
export function blocksOf(kind: string): readonly (readonly [where: string, text: string])[] {
  return pages.flatMap(({ path, blocks }) =>
    blocks.filter((block) => block.kind === kind).map(({ line, text }) => [`${path}:${line}`, text] as const),
  )
}

/** What is set as code within prose, with where. */
export function ticked(): readonly (readonly [path: string, code: string])[] {
  return pages.flatMap(({ path, prose }) =>
    [...prose.matchAll(/`([^`\n]+)`/g)].map(([, code = '']) => [path, code] as const),
  )
}

/** The rows of the table under a heading of a page, without its header. */
export function tableUnder(page: Page, heading: string): readonly (readonly string[])[] {
  const section = page.text.split(/^#+ /m).find((part) => part.startsWith(`${heading}\n`)) ?? ''
  return rowsIn(section)
}

/** The rows of the first table of a text whose header begins so, without that header. */
export function rowsIn(text: string, header = '|'): readonly (readonly string[])[] {
  const lines = text.slice(Math.max(0, text.indexOf(header))).split('\n')
  const first = lines.findIndex((line) => line.startsWith('|'))
  if (first === -1) return []
  const end = lines.findIndex((line, index) => index > first && !line.startsWith('|'))
  return lines.slice(first + 2, end === -1 ? undefined : end).map((line) =>
    line
      .slice(1, -1)
      .split(/(?<!\\)\|/)
      .map((cell) => cell.trim()),
  )
}
