/** A directory as the kubelet mounts ConfigMaps, Secrets and projected tokens: files are links through `..data`, which is swapped whole. */
import { mkdir, mkdtemp, readdir, readlink, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'

/** Makes the directory hold exactly these files, atomically for whoever reads through `..data`. */
export async function publish(directory: string, files: Readonly<Record<string, string>>): Promise<void> {
  await mkdir(directory, { recursive: true })
  const before = await readlink(join(directory, '..data')).catch(() => undefined)
  const content = await mkdtemp(join(directory, '..content-'))
  for (const [name, text] of Object.entries(files)) await writeFile(join(content, name), text, { mode: 0o600 })
  await symlink(basename(content), join(directory, '..data_tmp'))
  await rename(join(directory, '..data_tmp'), join(directory, '..data'))
  await linkAll(directory, Object.keys(files))
  if (before !== undefined) await rm(join(directory, before), { recursive: true, force: true })
}

async function linkAll(directory: string, names: readonly string[]): Promise<void> {
  const there = (await readdir(directory)).filter((name) => !name.startsWith('..'))
  for (const name of there) if (!names.includes(name)) await rm(join(directory, name))
  for (const name of names) if (!there.includes(name)) await symlink(join('..data', name), join(directory, name))
}
