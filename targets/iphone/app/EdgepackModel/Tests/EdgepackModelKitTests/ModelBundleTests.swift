import Foundation
import XCTest

@testable import EdgepackModelKit

/// Files that are not the bundle's are found before they are opened.
final class ModelBundleTests: XCTestCase {
    func testEveryFileIsTheBundles() throws {
        XCTAssertFalse(try ModelBundle.included().manifest.models.isEmpty)
    }

    // edgepack:if text generation
    func testAnotherTokenizerIsFoundAndBothFilesAreNamed() throws {
        let whole = try ModelBundle.included()
        let copy = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
        try FileManager.default.copyItem(at: whole.folder, to: copy)
        defer { try? FileManager.default.removeItem(at: copy) }
        let file = copy.appending(path: "tokenizer.json")
        try (Data(contentsOf: file) + Data(" ".utf8)).write(to: file)
        XCTAssertThrowsError(try ModelBundle(folder: copy)) { error in
            guard case ModelError.bundleDamaged(let told) = error else { return XCTFail("\(error)") }
            XCTAssertTrue(told.hasPrefix("tokenizer.json and "), told)
            XCTAssertTrue(told.contains("do not belong together"), told)
        }
    }
    // edgepack:end
}
