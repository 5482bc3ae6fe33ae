import XCTest

@testable import EdgepackModelKit

/// Logits as the original's, from texts on.
final class TextClassificationTests: XCTestCase {
    func testGoldenVectors() async throws {
        let model = try await TextClassification()
        try await checkGolden(ModelBundle.included(), kind: "text") { try await model.logits($0.texts[0]) }
    }

    func testTextsThatGoWrongFirst() async throws {
        let model = try await TextClassification()
        let tensors = try goldenInputs()
        for number in numbers(tensors, ".text") {
            let text = try XCTUnwrap(tensors["\(number).text"]).texts[0]
            XCTAssertEqual(model.ids(text), tensors["\(number).input.input_ids"]?.numbers, text)
        }
    }

    func testEveryLabelHasAScoreBestFirst() async throws {
        let model = try await TextClassification()
        let found = try await model.classify(["A text."])[0]
        XCTAssertEqual(Set(found.map(\.name)), Set(model.labels))
        XCTAssertEqual(found.map(\.score), found.map(\.score).sorted(by: >))
    }
}
