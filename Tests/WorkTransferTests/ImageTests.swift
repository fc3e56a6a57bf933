import CMultiprocessing
import Glibc
import Testing

struct ImageTests {
    private let library = UInt(bitPattern: dlsym(nil, "getpid"))

    private func found(at address: UInt, _ protection: Int) -> mp_image? {
        var image = mp_image()
        return mp_image_containing(address, 1, Int32(protection), &image) ? image : nil
    }

    @Test func codeOfTheProgramIsInTheMainImage() throws {
        let image = try #require(found(at: SecondProcess.codeAddress, Int(MP_IMAGE_EXECUTABLE)))
        #expect(image.is_main)
        #expect(image.name.pointee == 0)
        #expect(image.base < SecondProcess.codeAddress)
    }

    @Test func libraryIsFoundByItsName() throws {
        let image = try #require(found(at: library, Int(MP_IMAGE_EXECUTABLE)))
        #expect(!image.is_main)
        var again = mp_image()
        #expect(mp_image_named(image.name, image.fingerprint, &again))
        #expect(again.base == image.base)
        let fileName = String(cString: image.name).split(separator: "/").last ?? ""
        #expect(mp_image_named("/elsewhere/\(fileName)", image.fingerprint, &again), "the same file under another path")
        #expect(!mp_image_named(image.name, image.fingerprint ^ 1, &again), "another build of it")
        #expect(!mp_image_named("libnone.so", image.fingerprint, &again))
    }

    @Test func mainImageIsFoundByItsFingerprintAlone() throws {
        let image = try #require(found(at: SecondProcess.codeAddress, 0))
        var again = mp_image()
        #expect(mp_image_named("", image.fingerprint, &again) && again.base == image.base)
        #expect(!mp_image_named("", image.fingerprint ^ 1, &again))
    }

    @Test func heapAndStackAreInNoImage() {
        let heap = UnsafeMutableRawPointer.allocate(byteCount: 64, alignment: 8)
        defer { heap.deallocate() }
        #expect(found(at: UInt(bitPattern: heap), 0) == nil)
        withUnsafeTemporaryAllocation(byteCount: 8, alignment: 8) { #expect(found(at: UInt(bitPattern: $0.baseAddress), 0) == nil) }
        #expect(found(at: 0, 0) == nil)
        #expect(found(at: .max, 0) == nil)
    }

    /// It may hold anything, and something else in another process.
    @Test func memoryThatStartsAsZerosIsInNoImage() throws {
        let variable = UInt(bitPattern: dlsym(nil, "environ"))
        try #require(mp_image_is_mapped(variable, 8))
        #expect(found(at: variable, 0) == nil)
    }

    @Test func rangeMustFitIntoOneSegment() throws {
        var image = mp_image()
        #expect(mp_image_containing(SecondProcess.codeAddress, 1, Int32(MP_IMAGE_EXECUTABLE), &image))
        #expect(!mp_image_containing(SecondProcess.codeAddress, 1 << 40, Int32(MP_IMAGE_EXECUTABLE), &image))
        #expect(!mp_image_containing(SecondProcess.codeAddress, .max, Int32(MP_IMAGE_EXECUTABLE), &image))
    }

    @Test func symbolsAreCutOffToFit() {
        var whole = [CChar](repeating: 1, count: 1024)
        let length = mp_image_symbol(SecondProcess.codeAddress, &whole, whole.count)
        #expect(length > 8)
        #expect(whole[length] == 0)
        var short = [CChar](repeating: 1, count: 5)
        #expect(mp_image_symbol(SecondProcess.codeAddress, &short, 5) == 4)
        #expect(short[4] == 0 && short[..<4] == whole[..<4])
        #expect(mp_image_symbol(SecondProcess.codeAddress, &short, 0) == 0)
        #expect(mp_image_symbol(8, &short, 5) == 0)
    }

    @Test func mappedMemoryIsTold() {
        let page = sysconf(Int32(_SC_PAGESIZE))
        let memory = UInt(bitPattern: mmap(nil, 2 * page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))
        #expect(mp_image_is_mapped(memory, 2 * page))
        munmap(UnsafeMutableRawPointer(bitPattern: memory + UInt(page)), page)
        #expect(mp_image_is_mapped(memory, page))
        #expect(!mp_image_is_mapped(memory + UInt(page) - 4, 8))
        #expect(!mp_image_is_mapped(0, 8) && !mp_image_is_mapped(2, 8) && !mp_image_is_mapped(.max, 8))
        munmap(UnsafeMutableRawPointer(bitPattern: memory), page)
    }
}
