/** Runs promtool on files of a directory that is gone afterwards. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface Verdict {
  readonly ok: boolean
  readonly output: string
}

/** @param file which of the files promtool is told of. */
export function promtool(args: readonly string[], files: Readonly<Record<string, string>>, file: string): Verdict {
  const directory = mkdtempSync(join(tmpdir(), 'keyhole-promtool-'))
  try {
    for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text)
    const { status, stdout, stderr } = spawnSync('promtool', [...args, file], { cwd: directory, encoding: 'utf8' })
    return { ok: status === 0, output: `${stdout}${stderr}` }
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}
