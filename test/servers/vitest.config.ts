import { defineProject } from 'vitest/config'

// biome-ignore lint/style/noDefaultExport: vitest reads its configuration from the default export
export default defineProject({
  test: {
    name: 'servers',
    include: ['**/*.test.ts'],
    globalSetup: ['./global-set-up.ts'],
    // All suites share the servers, and some of them kill or seal them.
    fileParallelism: false,
    // Tests that run side by side mostly wait: for Leases and caches to run out.
    maxConcurrency: 11,
    // These end only what hangs: a test waits a minute, or runs OpenTofu three times, however fast the machine is.
    testTimeout: 600_000,
    hookTimeout: 600_000,
  },
})
