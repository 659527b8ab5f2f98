/**
 * `npm run image`: the image, as the Dockerfile says, by buildah; and as a file that a node of a cluster can load. On bases that are
 * made here; with `-- --pull` on those that the Dockerfile names, from their registries.
 */
import { execFileSync } from 'node:child_process'
import {
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Needed, Say } from '../servers/machine.ts'
import { installMissing, run } from '../servers/machine.ts'
import { inCache } from '../servers/programs.ts'
import { basesOf, buildah, inStore, makeBases } from './bases.ts'

export interface BuiltImage {
  /** As buildah and a node that loaded the file know it. */
  readonly reference: string
  /** oci-archive of it. */
  readonly archiveFile: string
  /** Of the base with Node and npm, which the examples run on. */
  readonly nodeArchiveFile: string
}

const ROOT = join(import.meta.dirname, '..', '..')
const CA_BUNDLE = '/etc/ssl/certs/ca-certificates.crt'

const NEEDED: readonly Needed[] = [
  { command: 'buildah', args: ['--version'], debian: 'buildah' },
  { command: 'debootstrap', args: ['--version'], debian: 'debootstrap' },
]

/** Nothing to do where nothing that the image is made of has changed. Needs root, for debootstrap and chroot. */
export async function buildImage(say: Say, pull = false): Promise<BuiltImage> {
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string }
  const dockerfile = readFileSync(join(ROOT, 'Dockerfile'), 'utf8')
  const bases = basesOf(dockerfile)
  const directory = inCache('images', [...ingredients(), ...inStore(), String(pull)])
  const image: BuiltImage = {
    reference: `localhost/keyhole:${version}`,
    archiveFile: join(directory, 'keyhole.tar'),
    nodeArchiveFile: join(inCache('images', [bases.node, ...inStore()]), 'node.tar'),
  }
  if (existsSync(image.archiveFile) && existsSync(image.nodeArchiveFile)) {
    await installMissing('the image', NEEDED, say)
    // Its name in the store may meanwhile be another's: of what the sources were in between.
    buildah('pull', '--quiet', `oci-archive:${image.archiveFile}`)
    say(`image: kept from before, ${image.archiveFile}`)
    return image
  }
  await installMissing('the image', NEEDED, say)
  if (!pull) await makeBases(bases, say)
  await bud(image.reference, version, pull ? 'always' : 'never', say)
  // What had the name before.
  buildah('rmi', '--prune')
  save(image.reference, image.archiveFile)
  if (!existsSync(image.nodeArchiveFile)) save(bases.node, image.nodeArchiveFile)
  forgetOld(image.archiveFile)
  say(`image: ${image.reference}, ${(statSync(image.archiveFile).size / 1e6).toFixed(0)} MB in ${image.archiveFile}`)
  return image
}

/** Everything that decides what the image is. */
function ingredients(): readonly string[] {
  const files = [
    'Dockerfile',
    '.dockerignore',
    'package.json',
    'package-lock.json',
    'build.ts',
    ...globSync('deploy/image/*', { cwd: ROOT }).toSorted(),
  ]
  const sources = globSync('src/**/*.ts', { cwd: ROOT }).filter((file) => !/^src\/(?:standins|testing)\//.test(file))
  return [...files, ...sources.toSorted()].flatMap((file) => [file, readFileSync(join(ROOT, file), 'utf8')])
}

async function bud(reference: string, version: string, pull: 'always' | 'never', say: Say): Promise<void> {
  const scratch = mkdtempSync(join(tmpdir(), 'keyhole-image-'))
  try {
    const npmrc = join(scratch, 'npmrc')
    writeFileSync(npmrc, npmSettings(), { mode: 0o600 })
    const mounts = existsSync(CA_BUNDLE) ? ['-v', `${CA_BUNDLE}:${CA_BUNDLE}:ro`] : []
    const revision = execFileSync('git', ['rev-parse', 'HEAD'], { cwd: ROOT, encoding: 'utf8' }).trim()
    const labels = { VERSION: version, REVISION: revision, CREATED: new Date().toISOString() }
    const args = [
      ...inStore(),
      ...['bud', '--isolation', 'chroot', '--network', 'host', `--pull=${pull}`, '--tag', reference],
      ...Object.entries(labels).flatMap(([name, value]) => ['--build-arg', `${name}=${value}`]),
      ...['-v', `${npmrc}:/root/.npmrc:ro`, ...mounts, '.'],
    ]
    await run('buildah', args, { label: 'buildah bud', say, cwd: ROOT })
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

/** What this machine's npm has been told, of registries and the like, so that the npm in the build can do the same. */
function npmSettings(): string {
  const files = [join(homedir(), '.npmrc'), '/etc/npmrc', '/usr/etc/npmrc', '/usr/local/etc/npmrc']
  const settings = files.filter((file) => existsSync(file)).map((file) => readFileSync(file, 'utf8').trim())
  return [...settings, ...(existsSync(CA_BUNDLE) ? [`cafile=${CA_BUNDLE}`] : []), ''].join('\n')
}

function save(reference: string, archiveFile: string): void {
  mkdirSync(dirname(archiveFile), { recursive: true })
  const partial = `${archiveFile}.partial-${process.pid}`
  buildah('push', '--quiet', reference, `oci-archive:${partial}:${reference}`)
  renameSync(partial, archiveFile)
}

/** Each change of a source makes another. Who has just been given one may not have read it yet. */
function forgetOld(archiveFile: string): void {
  const olderThanMs = Date.now() - 3_600_000
  for (const file of globSync(join(dirname(dirname(archiveFile)), '*/keyhole.tar')))
    if (file !== archiveFile && statSync(file).mtimeMs < olderThanMs) rmSync(dirname(file), { recursive: true })
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const pull = process.argv.includes('--pull')
  await buildImage((line) => process.stdout.write(`${line}\n`), pull).catch((thrown: Error) => {
    process.stderr.write(`${thrown.message}\n`)
    process.exitCode = 1
  })
}
