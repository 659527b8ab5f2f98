/** Links between pages: each leads somewhere, and every page is led to. */
import { existsSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { expect, test } from 'vitest'
import type { Page } from './pages.ts'
import { pages, ROOT, readPage } from './pages.ts'

interface Link {
  readonly from: string
  readonly written: string
  /** Relative to the root; the page itself for a bare anchor. */
  readonly target: string
  readonly anchor: string | undefined
}

const links = pages.flatMap(linksOf)

function linksOf({ path, prose }: Page): readonly Link[] {
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, written = '']) => written)
    .filter((written) => !/^[a-z]+:/.test(written))
    .map((written) => {
      const [file = '', anchor] = written.split('#')
      return { from: path, written, target: file === '' ? path : normalize(join(dirname(path), file)), anchor }
    })
}

test('every link leads to a file', () => {
  const dead = links.filter(({ target }) => !existsSync(join(ROOT, target)))
  expect(dead.map(({ from, written }) => `${from}: ${written}`)).toEqual([])
})

test('every anchor is a heading of the page that it leads to', () => {
  const dead = links.filter(
    ({ target, anchor }) =>
      anchor !== undefined && existsSync(join(ROOT, target)) && !anchorsOf(readPage(target)).has(anchor),
  )
  expect(dead.map(({ from, written }) => `${from}: ${written}`)).toEqual([])
})

test('every page can be reached from README.md', () => {
  const reached = new Set<string>()
  const visit = (path: string): void => {
    if (reached.has(path)) return
    reached.add(path)
    for (const { from, target } of links) if (from === path) visit(target)
  }
  visit('README.md')
  expect(pages.map(({ path }) => path).filter((path) => !reached.has(path))).toEqual([])
})

/** As GitHub makes them. */
function anchorsOf({ prose }: Page): ReadonlySet<string> {
  const anchors = new Set<string>()
  for (const [, heading = ''] of prose.matchAll(/^#{1,6} (.+)$/gm)) {
    const slug = heading
      .toLowerCase()
      .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-')
    let unique = slug
    for (let times = 1; anchors.has(unique); times++) unique = `${slug}-${times}`
    anchors.add(unique)
  }
  return anchors
}
