[inputs: ["mix.exs", ".formatter.exs", "{lib,test,bench,examples}/**/*.{ex,exs}"]]
