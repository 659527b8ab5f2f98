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
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
})
