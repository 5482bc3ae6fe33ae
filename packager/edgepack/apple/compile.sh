#!/bin/sh
# Compile the packages for Apple's StableDiffusion, on a Mac with Xcode: sh compile.sh [FOLDER]
# Then, in Swift: StableDiffusionPipeline(resourcesAt: FOLDER, controlNet: []).
# An app may compile on the device instead: see Prepare.swift.
set -eu
here=$$(cd "$$(dirname "$$0")" && pwd)
out=$${1:-$$here/Resources}
mkdir -p "$$out"
for package in $packages; do
    xcrun coremlcompiler compile "$$here/$$package" "$$out"
done
for file in $files; do
    cp "$$here/$$file" "$$out"
done
echo "$$out"
