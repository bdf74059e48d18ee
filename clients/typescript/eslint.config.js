import js from "@eslint/js";
import { defineConfig, globalIgnores } from "eslint/config";
import tseslint from "typescript-eslint";

export default defineConfig(
    globalIgnores(["dist", ".conformance", "src/gen"]),
    js.configs.recommended,
    tseslint.configs.strictTypeChecked,
    tseslint.configs.stylisticTypeChecked,
    {
        languageOptions: { parserOptions: { projectService: true } },
        rules: {
            // Numbers and bigints read well in a message.
            "@typescript-eslint/restrict-template-expressions": [
                "error",
                { allowNumber: true, allowBoolean: true },
            ],
            // An empty string means the same as nothing in these contracts.
            "@typescript-eslint/prefer-nullish-coalescing": [
                "error",
                { ignorePrimitives: { string: true } },
            ],
            "max-lines": ["error", { max: 300, skipBlankLines: false }],
        },
    },
    { files: ["**/*.js"], extends: [tseslint.configs.disableTypeChecked] },
    {
        files: ["tests/**"],
        rules: {
            "max-lines": "off",
        },
    },
);
