import { defineProject } from 'vitest/config'

// biome-ignore lint/style/noDefaultExport: vitest reads its configuration from the default export
export default defineProject({
  test: {
    name: 'deploy',
    // They need kubectl. The rest of this directory reads files, and is among the unit tests.
    include: ['rendered.test.ts'],
    globalSetup: ['./global-set-up.ts'],
    // No test is timed: this only ends one that hangs.
    testTimeout: 180_000,
    hookTimeout: 60_000,
  },
})
